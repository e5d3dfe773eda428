import JSON
import Testing

@testable import mue

/// What `mue bench` makes of traces and rounds.
@Suite struct BenchTests {
  private func span(_ name: String, _ category: String, _ begin: Double, _ duration: Double) -> JSONValue {
    ["ph": "X", "name": .string(name), "cat": .string(category), "ts": .double(begin), "dur": .double(duration)]
  }

  @Test func aPhaseWithinAnotherCountsOnce() throws {
    let events: [JSONValue] = [
      ["ph": "M", "name": "process_name"], span("generate", "request", 0, 10_000),
      span("image stem", "phase", 0, 1000), span("/conv", "Conv", 0, 900), span("image layer 1", "phase", 1000, 500),
      span("text layer 1", "phase", 1500, 250), span("bridge to the decoder", "phase", 1750, 250),
      span("decoder step 0", "phase", 2000, 4000), span("embedding", "phase", 2000, 100),
      span("decoder layer 1", "phase", 2100, 2000), span("cross keys and values 1", "phase", 2200, 1500),
      span("plan", "phase", 2300, 200), span("head", "phase", 5000, 900), span("search", "phase", 6000, 1000),
      span("decoder step 1", "phase", 7000, 1000), span("search", "phase", 8000, 10),
      span("reorder", "phase", 8010, 90),
    ]
    let spans = try RequestSpans(trace: (["traceEvents": .array(events)] as JSONValue).serialized())
    #expect(spans.total == 10)
    #expect(spans.encoder == 2)
    #expect(spans.steps.map(\.decoder) == [4, 1])
    #expect(spans.steps.map { ($0.search * 1e6).rounded() } == [1e6, 1e5])
    let parts = Dictionary(uniqueKeysWithValues: spans.parts.map { ($0.name, $0.milliseconds) })
    let expected = [
      "image stem": 1, "image layers": 0.5, "text layers": 0.25, "bridge to the decoder": 0.25, "embedding": 0.1,
      "decoder layers": 0.5, "cross keys and values": 1.3, "plan": 0.2, "head": 0.9, "search": 1.01, "reorder": 0.09,
    ]
    #expect(Set(parts.keys) == Set(expected.keys))
    for (name, value) in expected { #expect(abs((parts[name] ?? 0) - value) < 1e-9, "\(name)") }
  }

  @Test(arguments: [([3.0], 3.0, 3.0), ([4, 1], 2.5, 1), ([5, 1, 9], 5, 1), ([], 0, 0)])
  func mediansAndMinimums(values: [Double], median: Double, minimum: Double) {
    var rounds = Rounds()
    for value in values { rounds.append(value) }
    #expect(rounds.median == median && rounds.minimum == minimum)
  }

  private func engine(_ name: String, _ peer: BenchPeer?, caption: Double, load: Double?) -> BenchEngine {
    var engine = BenchEngine(name: name, peer: peer)
    let answer: JSONValue = ["tokens": [1, 2], "steps": 3, "times_ms": ["caption": .double(caption)]]
    engine.take(caption: answer, beams: ["times_ms": [:]])
    if let load { engine.take(loaded: ["load_ms": .double(load)], answered: ["memory_bytes": 100]) }
    return engine
  }

  @Test func ratiosAreOfWhatBothHave() {
    let group = BenchGroup(
      precision: "int8",
      engines: [
        engine("MuE", nil, caption: 2, load: 1), engine("onnxruntime", .onnxruntime, caption: 8, load: 4),
        engine("openvino", .openvino, caption: 1, load: nil),
      ])
    let ratios = Dictionary(uniqueKeysWithValues: group.ratios.map { ($0.name, $0.value) })
    #expect(
      ratios == [
        "caption.int8.onnxruntime": 0.25, "load.int8.onnxruntime": 0.25, "memory.int8.onnxruntime": 1,
        "caption.int8.openvino": 2,
      ])
    #expect(group.engines[0].tokensPerSecond == 1500)
    #expect(BenchPicture([group]).svg.contains("2.00 ms"))
  }

  @Test func aChildThatEndsOrTalksNonsenseIsAnError() throws {
    #expect(throws: CommandFailure.self) { try ChildProcess("none", ["/no/such/program"]) }
    let silent = try ChildProcess("silent", ["true"])
    _ = try? silent.ask("a")
    #expect(throws: CommandFailure.self) { try silent.ask("b") }
    let parrot = try ChildProcess("parrot", ["cat"])
    #expect(throws: CommandFailure.self) { try parrot.ask("no json") }
    #expect(try parrot.ask("{\"a\": 1}")["a"]?.intValue == 1)
    #expect(throws: CommandFailure.self) { try parrot.ask("{\"error\": \"its own\"}") }
    let environment = try ChildProcess(
      "env", ["sh", "-c", "read x; echo \"\\\"$MUE_BENCH_TEST$PATH\\\"\""], environment: ["MUE_BENCH_TEST=1:"])
    #expect(try environment.ask("x").stringValue?.hasPrefix("1:/") == true)
  }
}
