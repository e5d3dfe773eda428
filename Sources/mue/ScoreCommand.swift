import ArgumentParser

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score", abstract: "Scores a closed set of answers to questions about images.")

  @Argument(help: "The bundle directory.") var model: String
  @OptionGroup var question: QuestionArguments
  @Option(help: ArgumentHelp("The answers, joined by commas, to the letter.", valueName: "a,b,c")) var answers: String
  @OptionGroup var request: RequestArguments
  @Flag(help: "Print the report as one JSON value.") var json = false

  func run() throws {
    let settings = try request.settings()
    let session = try SessionHandle(model: ModelHandle(path: model, threads: request.threads))
    let questions = try question.questions()
    let answers = answers.split(separator: ",").map(String.init)
    let result = try session.score(questions, answers: answers, settings: settings)
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
