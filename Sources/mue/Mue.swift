import ArgumentParser

/// The command line. Everything it does goes through the C functions of `include/mue.h`.
@main
struct Mue: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mue",
    abstract: "Runs vision-language models with early exits.",
    discussion: """
      MODEL is a bundle directory: model.onnx, tokenizer.json, the usual *_config.json files and, for exits, mue.json.
      Results go to standard output, everything else to standard error. Exit status: 0 success, 1 the request failed,
      2 wrong usage.
      """,
    subcommands: [
      GenerateCommand.self, ScoreCommand.self, ForwardCommand.self, InspectCommand.self, CheckCommand.self,
      RunCommand.self, EvaluateCommand.self, BenchCommand.self, BenchWorkerCommand.self, InfoCommand.self,
      VersionCommand.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch ExitStatus.failed {
      StandardStream.end(with: 1)
    } catch let failure as CommandFailure {
      StandardStream.error("mue: \(failure.message)\n")
      StandardStream.end(with: 1)
    } catch {
      let isHelp = exitCode(for: error) == .success
      let text = fullMessage(for: error) + "\n"
      if isHelp { StandardStream.output(text) } else { StandardStream.error(text) }
      StandardStream.end(with: isHelp ? 0 : 2)
    }
  }
}
