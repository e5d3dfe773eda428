import CMue
import JSON

/// Measures this engine on one model.
final class BenchWorker {
  private let subject: BenchSubject
  private let opening: ModelArguments
  private var opened: (session: SessionHandle, question: Question)?
  private let memoryBefore = ProcessFile.peakMemory()

  init(_ subject: BenchSubject, _ opening: ModelArguments) {
    self.subject = subject
    self.opening = opening
  }

  func answer(_ command: String) throws(CommandFailure) -> JSONValue {
    switch command {
    case "open": return try open()
    case "caption", "once": return try caption()
    case "beams": return try beams()
    default: throw CommandFailure("there is no command '\(command)'")
    }
  }

  private func open() throws(CommandFailure) -> JSONValue {
    let begin = ContinuousClock.now
    let model = try opening.open(subject.model)
    let session = try SessionHandle(model: model)
    let took = begin.duration(to: .now)
    guard let image = subject.image else { throw CommandFailure("--image is missing") }
    opened = (session, Question(image: try ImageHandle(path: image), prompt: subject.prompt))
    return [
      "engine": "MuE", "version": .string(text(mue_version_string()) ?? ""), "load_ms": .double(took.milliseconds),
      "memory_bytes": .int(ProcessFile.peakMemory() - memoryBefore),
    ]
  }

  /// A whole request, greedy.
  private func caption() throws(CommandFailure) -> JSONValue {
    let (spans, result) = try request(beams: 1, tokens: subject.tokens)
    let hypothesis = try result.hypotheses(0)[0]
    let tokens = (0..<hypothesis.token_count).map { JSONValue.int(Int(hypothesis.tokens[$0])) }
    let report = try result.report(0)
    var steps = Rounds()
    for step in spans.steps.dropFirst() { steps.append(step.decoder + step.search) }
    var times: [(String, JSONValue)] = [("caption", .double(spans.total)), ("encoder", .double(spans.encoder))]
    if let first = spans.steps.first { times.append(("first", .double(first.decoder + first.search))) }
    if !steps.values.isEmpty { times.append(("step", .double(steps.median))) }
    return [
      "tokens": .array(tokens), "text": .string(result.text(0) ?? ""), "steps": .int(spans.steps.count),
      "times_ms": .object(JSONObject(times)),
      "parts_ms": .object(JSONObject(spans.parts.map { ($0.name, .double($0.milliseconds)) })),
      "memory_bytes": .int(ProcessFile.peakMemory() - memoryBefore), "threads": .int(Int(report.threads)),
      "precision": .string(text(report.precision) ?? ""), "cpu": .string(text(report.cpu) ?? ""),
    ]
  }

  /// The mean step with beams, and the search between two of them: all cache lengths of an answer but the first.
  private func beams() throws(CommandFailure) -> JSONValue {
    let (spans, _) = try request(beams: subject.beams, tokens: subject.tokens)
    let steps = spans.steps.dropFirst()
    guard !steps.isEmpty else { throw CommandFailure("the answer has too few tokens to time a step with beams") }
    let decoder = steps.reduce(0) { $0 + $1.decoder } / Double(steps.count)
    let search = steps.reduce(0) { $0 + $1.search } / Double(steps.count)
    return [
      "times_ms": .object(
        JSONObject([("beam\(subject.beams)", .double(decoder)), ("search\(subject.beams)", .double(search))]))
    ]
  }

  private func request(beams: Int, tokens: Int) throws(CommandFailure) -> (RequestSpans, ResultHandle) {
    guard let (session, question) = opened else { throw CommandFailure("nothing was opened") }
    var options = mue_generate_options()
    options.struct_size = MemoryLayout<mue_generate_options>.size
    options.beams = Int32(clamping: beams)
    options.max_tokens = Int32(clamping: tokens)
    options.min_tokens = tokens > 0 ? Int32(clamping: tokens) : 0
    options.no_repeat_ngram_size = MUE_OFF
    try session.beginTrace(detail: MUE_TRACE_PHASES)
    let result: ResultHandle
    do throws(CommandFailure) {
      result = try session.generate([question], settings: .fullDepth, search: options)
    } catch {
      _ = try? session.endTrace()
      throw error
    }
    return (try RequestSpans(trace: session.endTrace()), result)
  }
}

extension Duration {
  var milliseconds: Double { Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15 }
}
