import CCodecs
import JSON
import Tensor

/// From a picture to the numbers a model wants, as a Hugging Face preprocessor_config.json says: resized, cropped or
/// padded, scaled and normalised.
///
///     let preprocessor = try ImagePreprocessor(json: JSONValue.load(path: path), file: path)
///     let pixels = try preprocessor.process(ImageDecoder.load(path: "dog.jpg"))      // float32 [1, 3, H, W]
public struct ImagePreprocessor: Sendable {
  let geometry: ImageGeometry
  /// The result for each channel and each of the 256 values a pixel can have.
  let tables: [Float]

  /// - Throws: `invalidText` for malformed configurations, `unsupported` for what the engine lacks, with the field.
  public init(json: JSONValue, file: String? = nil) throws(MueError) {
    let root = JSONNode(json, file: file)
    guard json.objectValue != nil else { throw root.failure("expected an object") }
    geometry = try ImageGeometry(root)

    let rescales = try root["do_rescale"]?.bool() ?? true
    let factor = rescales ? try root["rescale_factor"]?.double() ?? 1.0 / 255.0 : 1
    // Files that say nothing normalise exactly when they give a mean.
    let normalizes = try root["do_normalize"]?.bool() ?? (root["image_mean"] != nil)
    let mean = try normalizes ? Self.channels(root.required("image_mean")) : [0, 0, 0]
    let deviation = try normalizes ? Self.channels(root.required("image_std")) : [1, 1, 1]
    guard factor.isFinite, mean.allSatisfy(\.isFinite), deviation.allSatisfy({ $0.isFinite && $0 != 0 }) else {
      throw root.failure("rescale_factor, image_mean and image_std must be finite and image_std not 0")
    }
    var tables: [Float] = []
    for channel in 0..<3 {
      for value in 0..<256 {
        // The same roundings as in NumPy: the product in double precision, the rest in single.
        let scaled = Float(Double(value) * factor)
        tables.append(normalizes ? (scaled - Float(mean[channel])) / Float(deviation[channel]) : scaled)
      }
    }
    self.tables = tables
  }

  /// One number for all channels or one for each of three.
  private static func channels(_ node: JSONNode) throws(MueError) -> [Double] {
    if let value = node.value.doubleValue { return [value, value, value] }
    let values = try node.doubles()
    guard values.count == 3 else { throw node.failure("expected three numbers, one for each channel") }
    return values
  }

  /// Height and width of what `process` makes of an image of this size.
  public func outputShape(width: Int, height: Int) throws(MueError) -> (height: Int, width: Int) {
    try RGBImage.check(width: width, height: height, limits: ImageLimits())
    var size = (width: width, height: height)
    for step in try geometry.steps(width: width, height: height) { size = step.size(after: size) }
    return (size.height, size.width)
  }

  /// - Returns: float32 [1, 3, H, W].
  public func process(_ image: RGBImage) throws(MueError) -> Tensor {
    try process([image])
  }

  /// - Returns: float32 [images, 3, H, W].
  /// - Throws: `invalidArgument` for no images, or images that do not come to one size.
  public func process(_ images: [RGBImage]) throws(MueError) -> Tensor {
    guard let first = images.first else {
      throw MueError(.invalidArgument, "no images to process", at: .init(argument: "images"))
    }
    let (height, width) = try outputShape(width: first.width, height: first.height)
    let batch = try Tensor(.float32, [images.count, 3, height, width])
    var target = batch.pointer.bindMemory(to: Float.self, capacity: batch.count)
    for (index, image) in images.enumerated() {
      var image = image
      for step in try geometry.steps(width: image.width, height: image.height) { image = try step.apply(to: image) }
      guard image.height == height, image.width == width else {
        throw MueError(
          .invalidArgument,
          "image \(index) comes to \(image.width) x \(image.height) pixels, image 0 to \(width) x \(height)",
          at: .init(argument: "images"))
      }
      mue_planes_from_rgb(image.base, height * width, tables, target)
      target += 3 * height * width
    }
    return batch
  }
}
