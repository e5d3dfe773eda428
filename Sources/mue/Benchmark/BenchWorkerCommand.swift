import ArgumentParser
import CMue
import JSON

/// The engine's side of `mue bench`: a process of its own that answers `open`, `caption`, `beams` and `once`, a line each,
/// with a line of JSON. `python3 -m mue_bench.peer` answers the same for other runtimes.
struct BenchWorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-worker", abstract: "What `mue bench` runs.", shouldDisplay: false)

  @OptionGroup var subject: BenchSubject
  @Option var precision = "f32"

  func run() throws {
    let worker = BenchWorker(subject, precision: precision)
    while let command = readLine() {
      let answer: JSONValue
      do throws(CommandFailure) { answer = try worker.answer(command) } catch {
        answer = ["error": .string(error.message)]
      }
      StandardStream.output(answer.serialized() + "\n")
    }
  }
}

/// What is measured; the same for every engine.
struct BenchSubject: ParsableArguments {
  @Argument(help: "The bundle directory.") var model: String
  @Option(help: ArgumentHelp("A JPEG or PNG file; noise when there is none.", valueName: "file")) var image: String?
  @Option(help: ArgumentHelp("The question; else the model's caption prompt.", valueName: "text")) var prompt: String?
  @Option(help: "Threads of every engine; 0 takes the cores that the process may use.") var threads = 0
  @Option(help: "Generate just so many tokens, the end left out; 0: as many as the model says.") var tokens = 0
  @Option(help: "Beams of the step with beams; 0 leaves it out.") var beams = 5

  func validate() throws {
    guard threads >= 0, tokens >= 0 else { throw ValidationError("--threads and --tokens must not be negative") }
    guard (0...64).contains(beams) else { throw ValidationError("--beams must be 0 to 64") }
  }
}
