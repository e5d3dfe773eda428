import CMue

/// What a model said about one item, and what it cost.
struct AnsweredItem {
  let item: DataItem
  /// Without white space at the ends.
  let answer: String
  let imageExit: Int
  let textExit: Int
  let decoderExits: [Int]
  let report: mue_report
  let precision: String
  let instructionSet: String

  /// The answer is one of the references, to the letter.
  var isExact: Bool { item.references.contains { $0.trimmed == answer } }

  /// Scores a closed answer set, generates otherwise.
  static func answer(
    _ item: DataItem, with session: SessionHandle, settings: RequestSettings, search: mue_generate_options
  ) throws(CommandFailure) -> AnsweredItem {
    let question = Question(image: try ImageHandle(path: item.image), prompt: item.prompt)
    let result: ResultHandle
    if item.answers.isEmpty {
      result = try session.generate([question], settings: settings, search: search)
    } else {
      result = try session.score([question], answers: item.answers, settings: settings)
    }
    let report = try result.report(0)
    return AnsweredItem(
      item: item, answer: (result.text(0) ?? result.bestAnswer(0) ?? "").trimmed, imageExit: Int(report.image_exit),
      textExit: Int(report.text_exit), decoderExits: result.decoderExits(0), report: report,
      precision: text(report.precision) ?? "", instructionSet: text(report.cpu) ?? "")
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    var rest = Substring(self)
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}
