import CKernels
import Decode
import Tensor

extension Session {
  /// Scores `answers` as continuations for each item. Answers of one token each take one decoder pass and their own
  /// rows of the vocabulary; longer ones take one pass each.
  ///
  /// Whether the decoder reads the prompt first is said by the task in mue.json that the prompt fits.
  public func score(
    _ items: [RequestItem], answers: [String], options: RequestOptions = .init()
  ) throws(MueError) -> [Scoring] {
    let total = Stopwatch()
    let runner = try requireRunner()
    try requireItems(items)
    guard !answers.isEmpty else {
      throw MueError(.invalidArgument, "score needs at least one answer", at: .init(argument: "answers"))
    }
    guard Set(answers).count == answers.count else {
      throw MueError(.invalidArgument, "an answer is there twice", at: .init(argument: "answers"))
    }
    let preparation = preparation
    let tokenizer = try preparation.tokenizer
    var candidates: [[Int]] = []
    for answer in answers {
      let ids = try tokenizer.encode(answer, addSpecialTokens: false)
      guard !ids.isEmpty else {
        throw MueError(.invalidArgument, "the answer '\(answer)' has no tokens", at: .init(argument: "answers"))
      }
      candidates.append(ids)
    }
    let run = try preparation.runOptions(options)
    let (samples, imageDecode) = try prepare(items, preparation)
    let encoded = try runner.encode(samples, options: run)
    let builder = ReportBuilder(model: model, unified: runner.unified)
    var scorings: [Scoring] = []
    var decoderTime = 0.0
    var headTime = 0.0
    for (item, sample) in zip(items.indices, encoded) {
      let prompt = try preparation.prompt(items[item])
      let task = TaskTemplate.matching(prompt, among: model.tasks)
      let ids = samples[item].inputIDs
      let prefix = task?.decoderReadsPrompt == true ? Array(ids.dropLast()) : [preparation.startToken]
      let passes = try AnswerScoring.run(
        runner, sample, prefix: prefix, candidates: candidates, endToken: preparation.endToken,
        longest: preparation.maxSequence, options: run)
      decoderTime += passes.layersMilliseconds
      headTime += passes.headMilliseconds
      var scoring = Scoring()
      scoring.answers = answers
      scoring.logProbabilities = passes.logProbabilities
      scoring.best =
        passes.logProbabilities.indices.max { passes.logProbabilities[$0] < passes.logProbabilities[$1] } ?? 0
      scoring.report = builder.report(
        sample, decoderExits: passes.exits, decoderSimilarities: options.similarities ? passes.similarities : [],
        multiplyAdds: passes.multiplyAdds, fullMultiplyAdds: passes.fullMultiplyAdds,
        recordsSimilarities: options.similarities)
      scorings.append(scoring)
    }
    var time = TimeReport()
    time.imageDecode = imageDecode
    time.add(encoded)
    time.decoder = decoderTime
    time.head = headTime
    time.total = total.milliseconds
    for index in scorings.indices { scorings[index].report.time = time }
    return scorings
  }
}
