import JSON

/// The outcome of `mue bench` as JSON and for people.
struct BenchReport {
  let subject: BenchSubject
  let threads: Int
  let rounds: Int
  let machine: JSONValue
  let groups: [BenchGroup]

  var json: JSONValue {
    [
      "model": .string(subject.model), "prompt": subject.prompt.map { .string($0) } ?? .null,
      "threads": .int(threads), "rounds": .int(rounds), "beams": .int(subject.beams), "machine": machine,
      "groups": .array(
        groups.map { ["precision": .string($0.precision), "engines": .array($0.engines.map(\.json))] }),
      "ratios": .object(JSONObject(groups.flatMap { $0.ratios.map { ($0.name, .double($0.value)) } })),
    ]
  }

  /// Name of each work, for people.
  private func title(_ work: String) -> String {
    switch work {
    case "caption": "whole request"
    case "encoder": "encoder, stem included"
    case "first": "first step"
    case "step": "step, one token"
    case "beam\(subject.beams)": "step, \(subject.beams) beams"
    case "search\(subject.beams)": "search, \(subject.beams) beams"
    default: work
    }
  }

  var text: String {
    var text = "\(subject.model): \(machine["processor"]?.stringValue ?? ""), \(machine["cpu"]?.stringValue ?? ""), "
    text += "\(threads) threads; \(rounds) rounds, median (minimum)\n"
    for group in groups {
      text +=
        "\n"
        + Self.row(
          group.precision, group.engines.map { "\($0.name) \($0.version)" },
          ratios: group.engines.count > 1 ? ["ratio"] : [])
      for name in group.engines.first?.times.map(\.name) ?? [] {
        let cells = group.engines.map { engine in
          engine.times.first { $0.name == name }.map { Self.milliseconds($0.rounds) } ?? "-"
        }
        text += Self.row(title(name), cells, ratios: ratios(name, group))
      }
      text += Self.row("tokens a second", group.engines.map { $0.tokensPerSecond.fixed(1) }, ratios: [])
      text += Self.row(
        "loading", group.engines.map { $0.load.values.isEmpty ? "-" : Self.milliseconds($0.load) },
        ratios: ratios("load", group))
      text += Self.row(
        "peak memory", group.engines.map { $0.memory.values.isEmpty ? "-" : ($0.memory.median / 1e6).fixed(0) + " MB" },
        ratios: ratios("memory", group))
      for engine in group.engines where !engine.note.isEmpty { text += "  \(engine.name): \(engine.note)\n" }
      text += Self.differences(group)
      if let parts = group.engines.first?.parts {
        let list = parts.map { "\($0.name) \($0.rounds.median.fixed(2))" }.joined(separator: ", ")
        text += "  parts of MuE's request, ms: \(list)\n"
      }
    }
    return text
  }

  private func ratios(_ name: String, _ group: BenchGroup) -> [String] {
    group.engines.dropFirst().map { engine in
      group.ratios.first { $0.name == "\(name).\(group.precision).\(engine.name)" }?.value.fixed(2) ?? "-"
    }
  }

  /// Engines that found other tokens than MuE.
  private static func differences(_ group: BenchGroup) -> String {
    guard let ours = group.engines.first else { return "" }
    return group.engines.dropFirst().filter { $0.tokens != ours.tokens }
      .map { "  \($0.name) answers otherwise: \($0.text)\n" }.joined()
  }

  private static func milliseconds(_ rounds: Rounds) -> String {
    "\(rounds.median.fixed(2)) (\(rounds.minimum.fixed(2))) ms"
  }

  private static func row(_ title: String, _ cells: [String], ratios: [String]) -> String {
    let columns = cells.map { padded($0, 26) }.joined()
    return "  " + padded(title, 24) + columns + ratios.joined(separator: "  ") + "\n"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }
}
