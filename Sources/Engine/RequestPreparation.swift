import Decode
import Exit
import Kernels
import Tensor
import Text
import Vision

/// Turns what the caller gave into what the encoder takes: pixels and prompt tokens, checked against the limits.
struct RequestPreparation {
  let model: Model
  /// nil while nothing is traced.
  let trace: TraceRecorder?

  /// pixel_values, float32 [1, 3, height, width].
  ///
  /// - Returns: also the size of the picture they were made of (their own when they were given as they are).
  func pixels(_ image: ImageInput) throws(MueError) -> (pixels: Tensor, size: PictureSize) {
    var limits = ImageLimits()
    limits.pixels = model.options.limits.imagePixels
    switch image {
    case .tensor(let tensor): return (tensor, Self.size(tensor, width: nil, height: nil))
    case .features(let features):
      guard features.model === model else {
        throw MueError(.invalidArgument, "the image features are of another model", at: .init(argument: "features"))
      }
      return (features.pixelValues, features.size)
    default: break
    }
    guard let preprocessor = model.preprocessor else {
      throw MueError(.unsupported, "the model has no preprocessor_config.json: give pixel_values")
    }
    let depth = trace?.depth ?? 0
    defer { trace?.end(downTo: depth) }
    trace?.begin("image decode")
    let picture = try image.picture(limits)
    trace?.end()
    trace?.begin("preprocess")
    let pixels = try preprocessor.process(picture)
    return (pixels, Self.size(pixels, width: picture.width, height: picture.height))
  }

  private static func size(_ pixels: Tensor, width: Int?, height: Int?) -> PictureSize {
    let (modelWidth, modelHeight) = pixels.shape.count == 4 ? (pixels.shape[3], pixels.shape[2]) : (1, 1)
    return PictureSize(
      width: width ?? modelWidth, height: height ?? modelHeight, modelWidth: modelWidth, modelHeight: modelHeight)
  }

  func prompt(_ item: RequestItem) throws(MueError) -> String {
    if let prompt = item.prompt { return prompt }
    guard let task = model.tasks.first(where: { $0.name == "caption" }) else {
      throw MueError(.invalidArgument, "the model has no default prompt: give one", at: .init(argument: "prompt"))
    }
    return task.prompt.text
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

  /// The tokens of each answer of a closed set.
  func answerTokens(_ answers: [String]) throws(MueError) -> [[Int]] {
    guard !answers.isEmpty else {
      throw MueError(.invalidArgument, "a closed set needs at least one answer", at: .init(argument: "answers"))
    }
    // Byte by byte: Swift takes "\u{E9}" and "e\u{301}" for the same text, tokenizers do not.
    guard Set(answers.map { Array($0.utf8) }).count == answers.count else {
      throw MueError(.invalidArgument, "an answer is there twice", at: .init(argument: "answers"))
    }
    let tokenizer = try tokenizer
    return try answers.map { (answer) throws(MueError) in
      let ids = try tokenizer.encode(answer, addSpecialTokens: false)
      guard !ids.isEmpty else {
        throw MueError(.invalidArgument, "the answer '\(answer)' has no tokens", at: .init(argument: "answers"))
      }
      guard !ids.contains(endToken) else {
        throw MueError(
          .invalidArgument, "the answer '\(answer)' has the end token inside", at: .init(argument: "answers"))
      }
      return ids
    }
  }

  /// What the decoder reads before it answers: the prompt without its end token where the task says so, else the start
  /// token.
  func decoderPrefix(_ task: TaskTemplate?, inputIDs: [Int]) -> [Int] {
    task?.decoderReadsPrompt == true && inputIDs.count > 1 ? Array(inputIDs.dropLast()) : [startToken]
  }

  func sample(_ item: RequestItem, pixels: Tensor) throws(MueError) -> SampleInput {
    trace?.begin("tokenise")
    defer { trace?.end() }
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
      isCancelled: { cancellation?.isCancelled ?? false }, trace: trace)
  }
}
