import Decode
import Tensor

extension Session {
  /// Runs the image stream alone. The features serve any number of requests of this model, on any thread; whether the
  /// stream stops early is decided here, once.
  ///
  /// - Throws: `.unsupported` for an encoder that attends across image and text, and the errors of the image.
  public func encode(image: ImageInput, options: RequestOptions = .init()) throws(MueError) -> ImageFeatures {
    let runner = try requireRunner()
    trace?.begin(request: "encode_image")
    defer { trace?.end() }
    let preparation = preparation
    let (pixels, size) = try preparation.pixels(image)
    let stream = try runner.encode(image: pixels, options: preparation.runOptions(options))
    return ImageFeatures(model: model, pixelValues: pixels, size: size, stream: stream)
  }
}
