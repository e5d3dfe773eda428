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
    trace?.begin(request: "generate")
    defer { trace?.end() }
    let runner = try requireRunner()
    try requireItems(items)
    let preparation = preparation
    var planning = try SearchPlanning(options, preparation)
    let run = try preparation.runOptions(options.request)
    var (samples, pictures, imageDecode) = try prepare(items, preparation)
    var plans: [SearchPlanning.Item] = []
    for (item, sample) in zip(items, samples) {
      let plan = try planning.item(item, inputIDs: sample.inputIDs)
      guard onToken == nil || plan.options.beams == 1 else {
        throw MueError(
          .invalidArgument, "a beam search does not stream, and the model asks for \(plan.options.beams) beams: set 1",
          at: .init(argument: "beams"))
      }
      plans.append(plan)
    }
    let encoded = try runner.encode(samples, options: run)
    // The pixels have been read.
    samples = []
    let tokenizer = try preparation.tokenizer
    var streams = items.map { _ in tokenizer.stream() }
    let found = try runner.generate(
      encoded, prefixes: plans.map(\.prefix), options: plans.map(\.options), run: run
    ) { (sample, token, exit) throws(MueError) in
      guard let onToken else { return .proceed }
      let text = token == preparation.endToken ? streams[sample].finish() : streams[sample].push(token)
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
    for (index, outcome) in found.enumerated() {
      guard let best = outcome.hypotheses.first else { throw MueError(.internal, "a search without a hypothesis") }
      var generation = Generation()
      generation.hypotheses = try outcome.hypotheses.map { (result) throws(MueError) in
        try Hypothesis(result, task: plans[index].task, tokenizer: tokenizer, picture: pictures[index])
      }
      generation.report = builder.report(
        encoded[index], decoderExits: best.exits, decoderSimilarities: best.similarities,
        multiplyAdds: outcome.multiplyAdds, fullMultiplyAdds: outcome.fullMultiplyAdds,
        recordsSimilarities: options.request.similarities)
      generation.report.time = time
      generations.append(generation)
    }
    return generations
  }

  /// Pixels and prompt tokens of every item, the sizes of the pictures, and the milliseconds that they took.
  func prepare(
    _ items: [RequestItem], _ preparation: RequestPreparation
  ) throws(MueError) -> (samples: [SampleInput], pictures: [PictureSize], imageMilliseconds: Double) {
    var samples: [SampleInput] = []
    var pictures: [PictureSize] = []
    var milliseconds = 0.0
    for item in items {
      let watch = Stopwatch()
      let (pixels, size) = try preparation.pixels(item.image)
      milliseconds += watch.milliseconds
      samples.append(try preparation.sample(item, pixels: pixels))
      pictures.append(size)
    }
    return (samples, pictures, milliseconds)
  }
}
