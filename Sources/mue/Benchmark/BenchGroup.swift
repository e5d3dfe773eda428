import JSON

/// Engines that were measured side by side in one precision, MuE first.
struct BenchGroup {
  let precision: String
  var engines: [BenchEngine]

  /// MuE's median over that of the others: WORK.PRECISION.ENGINE.
  var ratios: [(name: String, value: Double)] {
    guard let ours = engines.first else { return [] }
    var ratios: [(String, Double)] = []
    for engine in engines.dropFirst() {
      for (name, rounds) in ours.figures {
        guard let other = engine.figures.first(where: { $0.name == name })?.rounds, other.median > 0 else { continue }
        ratios.append(("\(name).\(precision).\(engine.name)", rounds.median / other.median))
      }
    }
    return ratios
  }
}

/// What was measured of one engine.
struct BenchEngine {
  let name: String
  /// nil for MuE.
  let peer: BenchPeer?
  private(set) var version = ""
  /// What it says of itself, such as that it computes in another precision.
  private(set) var note = ""
  private(set) var text = ""
  private(set) var tokens: [Int] = []
  private(set) var steps = 0
  /// Milliseconds, by work, in the order that they came.
  private(set) var times: [(name: String, rounds: Rounds)] = []
  private(set) var parts: [(name: String, rounds: Rounds)] = []
  private(set) var load = Rounds()
  private(set) var memory = Rounds()

  init(name: String, peer: BenchPeer?) {
    self.name = name
    self.peer = peer
  }

  /// Everything that has a ratio.
  var figures: [(name: String, rounds: Rounds)] {
    times + [("load", load), ("memory", memory)].filter { !$0.1.values.isEmpty }
  }

  var tokensPerSecond: Double {
    guard let caption = times.first(where: { $0.name == "caption" })?.rounds.median, caption > 0 else { return 0 }
    return Double(steps) / caption * 1e3
  }

  mutating func take(opened: JSONValue) {
    version = opened["version"]?.stringValue ?? ""
    note = opened["note"]?.stringValue ?? ""
  }

  mutating func take(loaded: JSONValue, answered: JSONValue) {
    if let value = loaded["load_ms"]?.doubleValue { load.append(value) }
    if let value = answered["memory_bytes"]?.doubleValue { memory.append(value) }
  }

  mutating func take(caption: JSONValue, beams: JSONValue?) {
    text = caption["text"]?.stringValue ?? ""
    tokens = (caption["tokens"]?.arrayValue ?? []).compactMap(\.intValue)
    steps = caption["steps"]?.intValue ?? tokens.count
    Self.append(caption["times_ms"], to: &times)
    Self.append(beams?["times_ms"], to: &times)
    Self.append(caption["parts_ms"], to: &parts)
  }

  private static func append(_ values: JSONValue?, to list: inout [(name: String, rounds: Rounds)]) {
    guard let members = values?.objectValue else { return }
    for (name, value) in members {
      guard let value = value.doubleValue else { continue }
      if let index = list.firstIndex(where: { $0.name == name }) {
        list[index].rounds.append(value)
      } else {
        var rounds = Rounds()
        rounds.append(value)
        list.append((name, rounds))
      }
    }
  }

  var json: JSONValue {
    func object(_ list: [(name: String, rounds: Rounds)]) -> JSONValue {
      .object(JSONObject(list.map { ($0.name, $0.rounds.json) }))
    }
    return [
      "engine": .string(name), "version": .string(version), "note": .string(note), "text": .string(text),
      "tokens": .array(tokens.map { .int($0) }), "tokens_per_second": .double(tokensPerSecond),
      "times_ms": object(times), "parts_ms": object(parts), "load_ms": load.json, "memory_bytes": memory.json,
    ]
  }
}
