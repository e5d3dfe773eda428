import Decode
import Exit
import Tensor
import Text
import Vision

/// Turns what the caller gave into what the encoder takes: pixels and prompt tokens, checked against the limits.
struct RequestPreparation {
  let model: Model

  /// pixel_values, float32 [1, 3, height, width].
  func pixels(_ image: ImageInput) throws(MueError) -> Tensor {
    switch image {
    case .tensor(let tensor): return tensor
    case .features(let features):
      guard features.model === model else {
        throw MueError(.invalidArgument, "the image features are of another model", at: .init(argument: "features"))
      }
      return features.pixelValues
    default: break
    }
    guard let preprocessor = model.preprocessor else {
      throw MueError(.unsupported, "the model has no preprocessor_config.json: give pixel_values")
    }
    var limits = ImageLimits()
    limits.pixels = model.options.limits.imagePixels
    switch image {
    case .file(let path):
      return try preprocessor.process(ImageDecoder.load(path: path, limits: limits))
    case .encoded(let bytes):
      // Typed throws do not pass through withUnsafeBytes: carry the outcome out.
      let outcome: Result<RGBImage, MueError> = bytes.withUnsafeBytes { raw in
        do throws(MueError) {
          return .success(try ImageDecoder.decode(raw, file: nil, limits: limits))
        } catch {
          return .failure(error)
        }
      }
      return try preprocessor.process(outcome.get())
    case .rgb(let image):
      return try preprocessor.process(image)
    case .tensor, .features:
      throw MueError(.internal, "an image that needs no decoding was to be decoded")
    }
  }

  func prompt(_ item: RequestItem) throws(MueError) -> String {
    if let prompt = item.prompt { return prompt }
    guard let task = model.tasks.first(where: { $0.name == "caption" }) else {
      throw MueError(.invalidArgument, "the model has no default prompt: give one", at: .init(argument: "prompt"))
    }
    return task.prompt
  }

  var tokenizer: Tokenizer {
    get throws(MueError) {
      guard let tokenizer = model.bundle?.tokenizer else {
        throw MueError(.unsupported, "the model has no tokenizer.json", at: .init(file: model.bundle?.directory))
      }
      return tokenizer
    }
  }

  func ids(_ prompt: String) throws(MueError) -> [Int] {
    let ids = try tokenizer.encode(prompt)
    let longest = maxSequence
    guard ids.count <= longest else {
      throw MueError(
        .limitExceeded, "the prompt has \(ids.count) tokens; the model takes at most \(longest)",
        at: .init(argument: "prompt"))
    }
    return ids
  }

  /// The longest sequence that the position tables and the limits allow.
  var maxSequence: Int {
    let limit = model.options.limits.sequenceLength
    return min(model.bundle?.setting("max_position_embeddings") ?? limit, limit)
  }

  func sample(_ item: RequestItem, pixels: Tensor) throws(MueError) -> SampleInput {
    var sample = try SampleInput(pixelValues: pixels, inputIDs: ids(prompt(item)), padding: padding)
    if case .features(let features) = item.image { sample.image = features.stream }
    return sample
  }

  var padding: Int? { model.bundle?.setting("pad_token_id") }
  var endToken: Int { model.bundle?.setting("eos_token_id") ?? 2 }
  var startToken: Int {
    model.bundle?.setting("decoder_start_token_id") ?? model.bundle?.setting("bos_token_id") ?? 0
  }

  func thresholds(_ exits: ExitSetting) throws(MueError) -> ExitThresholds {
    switch exits {
    case .off: return .never
    case .thresholds(let thresholds): return thresholds
    case .calibrated:
      guard let calibrated = model.calibratedExits else {
        throw MueError(
          .invalidArgument, "the model has no calibrated thresholds in its mue.json", at: .init(argument: "exits"))
      }
      return calibrated
    }
  }

  func runOptions(_ options: RequestOptions) throws(MueError) -> RunOptions {
    let cancellation = options.cancellation
    return try RunOptions(
      thresholds: thresholds(options.exits), rule: options.rule, recordsSimilarities: options.similarities,
      isCancelled: { cancellation?.isCancelled ?? false })
  }
}
