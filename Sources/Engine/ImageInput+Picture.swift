import Tensor
import Vision

extension ImageInput {
  /// The picture itself, read and decoded.
  ///
  /// - Throws: `invalidArgument` for pixel_values and features, which are no picture.
  public func picture(_ limits: ImageLimits) throws(MueError) -> RGBImage {
    switch self {
    case .file(let path): return try ImageDecoder.load(path: path, limits: limits)
    case .encoded(let bytes): return try ImageDecoder.decode(bytes, limits: limits)
    case .rgb(let image): return image
    case .tensor, .features:
      throw MueError(.invalidArgument, "only pixel values are known, not the picture", at: .init(argument: "image"))
    }
  }
}
