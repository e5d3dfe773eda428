import ArgumentParser

/// `--trace` and `--repeat`: to look at where a request's time goes.
struct TraceArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp("Write a Chrome trace of the request, a span for every operator.", valueName: "file.json"))
  var trace: String?

  @Option(
    name: .customLong("repeat"),
    help: "Run the request so many times and report the last: the first one also makes plans and touches memory.")
  var repetitions = 1

  func validate() throws {
    guard (1...1_000_000).contains(repetitions) else { throw ValidationError("--repeat must be 1 to 1000000") }
  }

  /// Runs a request on `session` as often as asked for; traces and returns the last.
  func run(
    on session: SessionHandle, _ request: () throws(CommandFailure) -> ResultHandle
  ) throws(CommandFailure) -> ResultHandle {
    for _ in 1..<repetitions { _ = try request() }
    guard let trace else { return try request() }
    try session.beginTrace()
    let result = try request()
    try OutputFile.write(Array(session.endTrace().utf8), to: trace)
    return result
  }
}
