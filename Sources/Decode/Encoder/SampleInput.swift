import Tensor

/// One sample's inputs, checked and prepared.
public struct SampleInput: Sendable {
  /// float32 [1, channels, height, width]
  public var pixelValues: Tensor
  public var inputIDs: [Int]
  /// False for padding, which takes no part in similarities.
  public var isToken: [Bool]
  /// The image stream, when it was run before.
  public var image: EncodedStream?

  public init(pixelValues: Tensor, inputIDs: [Int], padding: Int?) throws(MueError) {
    guard pixelValues.type == .float32, pixelValues.shape.count == 4, pixelValues.shape[0] == 1, pixelValues.count > 0
    else {
      throw MueError(.invalidArgument, "pixel_values of one sample are float32 [1, channels, height, width]")
    }
    guard !inputIDs.isEmpty else { throw MueError(.invalidArgument, "the prompt has no tokens") }
    self.pixelValues = pixelValues
    self.inputIDs = inputIDs
    isToken = inputIDs.map { $0 != padding }
  }

  var shape: RequestShape {
    RequestShape(
      height: pixelValues.shape[2], width: pixelValues.shape[3], channels: pixelValues.shape[1], text: inputIDs.count)
  }
}
