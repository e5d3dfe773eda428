import ArgumentParser
import CMue
import JSON
import Tensor

struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Shows the instruction set in use, the cores and the threads.")

  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    var pointer: UnsafeMutablePointer<CChar>?
    try check(mue_system_info(&pointer))
    defer { mue_string_free(pointer) }
    let info = text(pointer) ?? ""
    if json { return StandardStream.output(info + "\n") }
    let value = try converting { () throws(MueError) in try JSONValue.parse(info) }
    StandardStream.output(OutlineText.lines(value))
  }
}

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "version", abstract: "Prints the library's version.")

  func run() { StandardStream.output("mue \(text(mue_version_string()) ?? "")\n") }
}
