import Decode
import Tensor

/// An image that went through the image stream, to be asked many prompts. Immutable, and of one model.
public final class ImageFeatures: Sendable {
  let model: Model
  let pixelValues: Tensor
  let size: PictureSize
  let stream: EncodedStream

  init(model: Model, pixelValues: Tensor, size: PictureSize, stream: EncodedStream) {
    self.model = model
    self.pixelValues = pixelValues
    self.size = size
    self.stream = stream
  }

  /// The last layer of the image stream that ran.
  public var exitLayer: Int { stream.layer }
}
