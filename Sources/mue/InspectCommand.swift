import ArgumentParser
import JSON
import Tensor

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Shows a model's streams, layers, parameters and operators, and what is not supported.")

  @Argument(help: "The bundle directory, or an ONNX file.") var model: String
  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    let inspection = try ModelHandle(path: model) { options in
      options.threads = 1
      options.inspect_only = 1
    }.inspection()
    if json { return StandardStream.output(inspection + "\n") }
    let value = try converting { () throws(MueError) in try JSONValue.parse(inspection) }
    StandardStream.output(OutlineText.lines(value))
  }
}
