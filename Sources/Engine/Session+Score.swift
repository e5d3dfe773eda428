import CKernels
import Decode
import Tensor

extension Session {
  /// Scores `answers` as continuations for each item. Answers of one token each take one decoder pass and their own
  /// rows of the vocabulary; longer ones are decoded side by side, what they have in common once.
  ///
  /// Whether the decoder reads the prompt first is said by the task in mue.json that the prompt fits.
  ///
  /// - Parameter normalization: over what each token's probability is taken; nil takes the task's, else the vocabulary.
  public func score(
    _ items: [RequestItem], answers: [String], normalization: AnswerNormalization? = nil,
    options: RequestOptions = .init()
  ) throws(MueError) -> [Scoring] {
    let total = Stopwatch()
    trace?.begin(request: "score")
    defer { trace?.end() }
    let runner = try requireRunner()
    try requireItems(items)
    let preparation = preparation
    let candidates = try preparation.answerTokens(answers)
    let run = try preparation.runOptions(options)
    let (samples, _, imageDecode) = try prepare(items, preparation)
    let encoded = try runner.encode(samples, options: run)
    let builder = ReportBuilder(model: model, unified: runner.unified)
    var scorings: [Scoring] = []
    var decoderTime = 0.0
    var headTime = 0.0
    for (item, sample) in zip(items.indices, encoded) {
      let prompt = try preparation.prompt(items[item])
      let task = TaskTemplate.matching(prompt, among: model.tasks)
      let prefix = preparation.decoderPrefix(task, inputIDs: samples[item].inputIDs)
      let passes = try AnswerScoring.run(
        runner, sample, prefix: prefix, candidates: candidates, endToken: preparation.endToken,
        longest: preparation.maxSequence, normalization: normalization ?? task?.normalization ?? .vocabulary,
        options: run)
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
