import ArgumentParser

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Answers questions about images in text.",
    discussion: "One prompt serves all images, and one image all prompts; otherwise they go in pairs.")

  @Argument(help: "The bundle directory.") var model: String
  @OptionGroup var question: QuestionArguments
  @Option(help: "Beams; 1 is greedy search.") var beams = 1
  @Option(help: "Most tokens to generate; 0 takes generation_config.json.") var maxTokens = 0
  @OptionGroup var request: RequestArguments
  @Flag(help: "Print the report as one JSON value.") var json = false

  func validate() throws {
    guard beams >= 1 else { throw ValidationError("--beams must be at least 1") }
    guard maxTokens >= 0 else { throw ValidationError("--max-tokens must not be negative") }
  }

  func run() throws {
    let settings = try request.settings()
    let session = try SessionHandle(model: ModelHandle(path: model, threads: request.threads))
    let questions = try question.questions()
    let result = try session.generate(questions, settings: settings, beams: beams, maxTokens: maxTokens)
    if json { return StandardStream.output(try result.json() + "\n") }
    for (index, question) in questions.enumerated() {
      StandardStream.output(
        """
        \(question.image.path): \(result.text(index) ?? "")
          answer   log-probability \(result.logProbability(index).fixed(3)), \
        \(result.isFinished(index) ? "finished" : "cut at the length")
        \(try ReportText.lines(result, index))
        """)
    }
  }
}
