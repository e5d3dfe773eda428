import ArgumentParser
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measures quality, layers, multiply-adds and time on a data set.",
    discussion: """
      DATA is a folder with data.jsonl, a line per item: {"image": "x.png", "prompt": "...", \
      "task": "caption|entailment|vqa", "references": ["..."]}, for closed answer sets also "answers".
      With exits, every item is also answered at full depth, alternately, so that the times can be compared.
      """)

  @Argument(help: "The bundle directory.") var model: String
  @Argument(help: "The folder with data.jsonl.") var data: String
  @OptionGroup var search: SearchArguments
  @Option(help: "Use the first N items; 0 takes all.") var limit = 0
  @OptionGroup var request: RequestArguments
  @OptionGroup var opening: ModelArguments
  @Flag(help: "Print one JSON object.") var json = false

  func validate() throws {
    guard limit >= 0 else { throw ValidationError("--limit must not be negative") }
  }

  func run() throws {
    let settings = try request.settings()
    var items = try DataItem.load(folder: data)
    if limit > 0 { items = Array(items.prefix(limit)) }
    let session = try SessionHandle(model: opening.open(model))
    var runs: [(name: String, settings: RequestSettings, answered: [AnsweredItem])] = [
      ("off", .fullDepth, [])
    ]
    if request.exits != "off" { runs.append((request.exits, settings, [])) }

    let progress = ProgressLine("item", total: items.count)
    for (number, item) in items.enumerated() {
      progress.show(number)
      for index in runs.indices {
        // Plans are made when a shape is first seen: that belongs to loading, not to the request that came first.
        if number == 0 { _ = try answer(item, session, runs[index].settings) }
        runs[index].answered.append(try answer(item, session, runs[index].settings))
      }
    }
    progress.clear()

    let summaries = runs.map { run in
      (name: run.name, tasks: DataItem.Task.allCases.compactMap { TaskSummary($0, run.answered) })
    }
    let machine = runs[0].answered.first
    if json {
      let report: JSONValue = [
        "model": .string(model), "data": .string(data), "items": .int(items.count),
        "beams": search.beams.map { .int($0) } ?? .null,
        "runs": .array(
          summaries.map { run in
            [
              "exits": .string(run.name),
              "tasks": .object(JSONObject(run.tasks.map { ($0.task.rawValue, $0.json) })),
            ]
          }),
        "threads": .int(Int(machine?.report.threads ?? 0)), "precision": .string(machine?.precision ?? ""),
        "cpu": .string(machine?.instructionSet ?? ""), "peak_memory_mb": .double(Self.peakMemory),
      ]
      return StandardStream.output(report.serialized() + "\n")
    }
    for run in summaries {
      StandardStream.output("exits \(run.name)\n" + run.tasks.map(\.lines).joined())
    }
    StandardStream.output(
      """
      machine    \(machine?.report.threads ?? 0) threads, \(machine?.precision ?? ""), \
      \(machine?.instructionSet ?? ""), peak memory \(Self.peakMemory.fixed(0)) MB

      """)
  }

  private func answer(
    _ item: DataItem, _ session: SessionHandle, _ settings: RequestSettings
  ) throws(CommandFailure) -> AnsweredItem {
    try AnsweredItem.answer(item, with: session, settings: settings, search: search.options())
  }

  /// The largest resident set of this process so far, in megabytes (10^6 bytes).
  private static var peakMemory: Double {
    var usage = rusage()
    return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? Double(usage.ru_maxrss) * 1024 / 1e6 : 0
  }
}
