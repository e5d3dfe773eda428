import ArgumentParser
import CMue

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score", abstract: "Scores a closed set of answers to questions about images.")

  @Argument(help: "The bundle directory.") var model: String
  @OptionGroup var question: QuestionArguments
  @OptionGroup var answers: AnswersArguments
  @Option(
    help: "Over what a token's probability is normalised: vocabulary, or the tokens that go on with an answer.")
  var normalize: Normalization?
  @OptionGroup var request: RequestArguments
  @OptionGroup var opening: ModelArguments
  @OptionGroup var tracing: TraceArguments
  @Flag(help: "Print the report as one JSON value.") var json = false

  enum Normalization: String, ExpressibleByArgument, CaseIterable { case vocabulary, answers }

  func validate() throws {
    guard answers.answers != nil || answers.answersFile != nil else {
      throw ValidationError("--answers or --answers-file is missing")
    }
  }

  func run() throws {
    let settings = try request.settings()
    let session = try SessionHandle(model: opening.open(model))
    let questions = try question.questions()
    let normalization: Int32 =
      switch normalize {
      case .vocabulary: MUE_NORMALIZE_VOCABULARY
      case .answers: MUE_NORMALIZE_ANSWERS
      case nil: MUE_NORMALIZE_DEFAULT
      }
    let answers = try answers.list() ?? []
    let result = try tracing.run(on: session) { () throws(CommandFailure) in
      try session.score(questions, answers: answers, settings: settings, normalization: normalization)
    }
    if json { return StandardStream.output(try result.json() + "\n") }
    for (index, question) in questions.enumerated() {
      StandardStream.output("\(question.image.path): \(result.bestAnswer(index) ?? "")\n")
      for (answer, value) in result.answers(index) {
        StandardStream.output("  answer   \(answer): log-probability \(value.fixed(4))\n")
      }
      StandardStream.output(try ReportText.lines(result, index))
    }
  }
}
