/// A picture's own size and the size it was given for the model, in pixels.
struct PictureSize: Sendable {
  var width: Int
  var height: Int
  var modelWidth: Int
  var modelHeight: Int

  /// Model size divided by the picture's own, across and down.
  var ratio: (width: Double, height: Double) {
    (Double(modelWidth) / Double(max(width, 1)), Double(modelHeight) / Double(max(height, 1)))
  }
}
