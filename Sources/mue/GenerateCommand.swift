import ArgumentParser
import CMue

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Answers questions about images in text.",
    discussion: "One prompt serves all images, and one image all prompts; otherwise they go in pairs.")

  @Argument(help: "The bundle directory.") var model: String
  @OptionGroup var question: QuestionArguments
  @OptionGroup var search: SearchArguments
  @OptionGroup var answers: AnswersArguments
  @OptionGroup var request: RequestArguments
  @OptionGroup var opening: ModelArguments
  @OptionGroup var tracing: TraceArguments
  @Option(
    help: ArgumentHelp("Draw the boxes of the answer into a copy of the image, a PNG file.", valueName: "file.png"))
  var draw: String?
  @Flag(help: "Print the report as one JSON value.") var json = false

  func validate() throws {
    guard draw == nil || (question.image.count == 1 && question.prompt.count <= 1) else {
      throw ValidationError("--draw takes one image and one prompt")
    }
  }

  func run() throws {
    let settings = try request.settings()
    let session = try SessionHandle(model: opening.open(model))
    let questions = try question.questions()
    let (search, answers) = try (search.options(), answers.list())
    let result = try tracing.run(on: session) { () throws(CommandFailure) in
      try session.generate(questions, settings: settings, search: search, answers: answers)
    }
    if json {
      StandardStream.output(try result.json() + "\n")
    } else {
      for (index, question) in questions.enumerated() {
        StandardStream.output(try Self.lines(result, index, image: question.image.path))
      }
    }
    if let draw {
      let boxes = result.boxes(0)
      guard !boxes.isEmpty else { throw CommandFailure("the answer has no boxes to draw") }
      try questions[0].image.writePNG(path: draw, boxes: boxes)
    }
  }

  private static func lines(_ result: ResultHandle, _ index: Int, image: String) throws(CommandFailure) -> String {
    var lines = """
      \(image): \(result.text(index) ?? "")
        answer   log-probability \(result.logProbability(index).fixed(3)), \
      \(result.isFinished(index) ? "finished" : "cut at the length")

      """
    for box in result.boxes(index) {
      lines += "  box      \(box.x0.fixed(1)), \(box.y0.fixed(1)) to \(box.x1.fixed(1)), \(box.y1.fixed(1))\n"
    }
    let hypotheses = try result.hypotheses(index)
    if hypotheses.count > 1 {
      for hypothesis in hypotheses {
        lines += "  score    \(hypothesis.score.fixed(4))  \(text(hypothesis.text) ?? "")\n"
      }
    }
    return lines + "\(try ReportText.lines(result, index))\n"
  }
}
