import Decode
import Tensor
import Text

extension Session {
  /// Answers each item in text, all items in one batch. The callback is called on the calling thread, for beams = 1.
  ///
  /// - Throws: `.invalidArgument` for options outside their range, `.limitExceeded` for prompts or lengths beyond the
  ///   model's, `.invalidImage`, `.notFound`, `.cancelled`.
  public func generate(
    _ items: [RequestItem], options: GenerateOptions = .init(),
    onToken: ((StreamedToken) -> StreamDecision)? = nil
  ) throws(MueError) -> [Generation] {
    let total = Stopwatch()
    let runner = try requireRunner()
    try requireItems(items)
    let preparation = preparation
    let search = try searchOptions(items, options, preparation)
    let (samples, imageDecode) = try prepare(items, preparation)
    let encoded = try runner.encode(samples, options: search.run)
    let tokenizer = try preparation.tokenizer
    var streams = samples.map { _ in tokenizer.stream() }
    let found = try runner.generate(encoded, options: search) { (sample, token, exit) throws(MueError) in
      guard let onToken else { return .proceed }
      let text = token == search.endToken ? streams[sample].finish() : streams[sample].push(token)
      switch onToken(StreamedToken(item: sample, token: token, text: text, exitLayer: exit)) {
      case .proceed: return .proceed
      case .stop: return .stop
      case .cancel: throw MueError(.cancelled, "the callback cancelled the request")
      }
    }
    var time = TimeReport()
    time.imageDecode = imageDecode
    time.add(encoded)
    time.decoder = found.map(\.layersMilliseconds).max() ?? 0
    time.head = found.map(\.headMilliseconds).max() ?? 0
    time.total = total.milliseconds
    let builder = ReportBuilder(model: model, unified: runner.unified)
    var generations: [Generation] = []
    for (sample, result) in zip(encoded, found) {
      var generation = Generation()
      generation.tokens = result.isFinished ? Array(result.tokens.dropLast()) : result.tokens
      generation.text = try tokenizer.decode(generation.tokens)
      generation.tokenLogProbabilities = result.logProbabilities
      generation.logProbability = result.logProbabilities.reduce(0, +)
      generation.isFinished = result.isFinished
      generation.report = builder.report(
        sample, decoderExits: result.exits, decoderSimilarities: result.similarities,
        multiplyAdds: result.multiplyAdds, fullMultiplyAdds: result.fullMultiplyAdds,
        recordsSimilarities: options.request.similarities)
      generation.report.time = time
      generations.append(generation)
    }
    return generations
  }

  private func searchOptions(
    _ items: [RequestItem], _ options: GenerateOptions, _ preparation: RequestPreparation
  ) throws(MueError) -> SearchOptions {
    guard (1...64).contains(options.beams) else {
      throw MueError(.invalidArgument, "beams must be between 1 and 64", at: .init(argument: "beams"))
    }
    guard options.maxTokens >= 0, options.maxTokens <= preparation.maxSequence else {
      throw MueError(
        .limitExceeded, "max_tokens must be between 0 and \(preparation.maxSequence)",
        at: .init(argument: "max_tokens"))
    }
    var maxTokens = options.maxTokens
    if maxTokens == 0 {
      // The longest that any of the batch's tasks needs.
      for item in items {
        let task = TaskTemplate.matching(try preparation.prompt(item), among: model.tasks)
        maxTokens = max(maxTokens, task?.maxTokens ?? 0)
      }
    }
    if maxTokens == 0 {
      maxTokens = model.bundle?.setting("max_new_tokens") ?? model.bundle?.setting("max_length") ?? 20
    }
    maxTokens = min(max(maxTokens, 1), preparation.maxSequence)
    let penalty = model.bundle?.generation?["length_penalty"]?.doubleValue ?? 1
    return SearchOptions(
      run: try preparation.runOptions(options.request), beams: options.beams, maxTokens: maxTokens,
      startToken: preparation.startToken, endToken: preparation.endToken, lengthPenalty: penalty)
  }

  /// Pixels and prompt tokens of every item, and the milliseconds that the images took.
  func prepare(
    _ items: [RequestItem], _ preparation: RequestPreparation
  ) throws(MueError) -> (samples: [SampleInput], imageMilliseconds: Double) {
    var samples: [SampleInput] = []
    var milliseconds = 0.0
    for item in items {
      let watch = Stopwatch()
      let pixels = try preparation.pixels(item.image)
      milliseconds += watch.milliseconds
      samples.append(try preparation.sample(item, pixels: pixels))
    }
    return (samples, milliseconds)
  }
}
