import ArgumentParser
import JSON
import Tensor

/// A closed set of answers: `--answers` or `--answers-file`.
struct AnswersArguments: ParsableArguments {
  @Option(help: ArgumentHelp("The answers, joined by commas, to the letter.", valueName: "a,b,c"))
  var answers: String?

  @Option(help: ArgumentHelp("A text file with an answer on each line, to the letter.", valueName: "file"))
  var answersFile: String?

  func validate() throws {
    guard answers == nil || answersFile == nil else {
      throw ValidationError("give --answers or --answers-file, not both")
    }
  }

  /// nil when there is no closed set.
  func list() throws(CommandFailure) -> [String]? {
    if let answers { return answers.split(separator: ",").map(String.init) }
    guard let answersFile else { return nil }
    let buffer = try converting { () throws(MueError) in
      try FileReader.bytes(path: answersFile, limit: 1 << 28)
    }
    let bytes = UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount)
    let lines = bytes.split(separator: UInt8(ascii: "\n"))
    let found = lines.map { line in
      String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
    }.filter { !$0.isEmpty }
    guard !found.isEmpty else { throw CommandFailure("\(answersFile) has no answers") }
    return found
  }
}
