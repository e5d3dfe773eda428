import JSON
import Tensor

/// The parts of one traced request, from the spans of its phases.
struct RequestSpans {
  /// The whole request, milliseconds.
  let total: Double
  /// What there is of: image decode, preprocess, tokenise, STREAM stem, STREAM layers, bridge to the decoder, cross keys and
  /// values, embedding, decoder layers, head, search, and what first requests do once: plan, position biases.
  let parts: [(name: String, milliseconds: Double)]
  /// From token to token: the decoder's step, and the search that chose the token.
  let steps: [(decoder: Double, search: Double)]

  init(trace: String) throws(CommandFailure) {
    let value = try converting { () throws(MueError) in try JSONValue.parse(trace) }
    var parts: [(name: String, milliseconds: Double)] = []
    func add(_ name: String, _ milliseconds: Double) {
      if let index = parts.firstIndex(where: { $0.name == name }) {
        parts[index].milliseconds += milliseconds
      } else {
        parts.append((name, milliseconds))
      }
    }
    var total = 0.0
    var steps: [(decoder: Double, search: Double)] = []
    // Phases that have begun: a phase within another one counts for its own part alone.
    var open: [(end: Double, part: String?)] = []
    for event in value["traceEvents"]?.arrayValue ?? [] {
      guard let category = event["cat"]?.stringValue, let name = event["name"]?.stringValue,
        let begin = event["ts"]?.doubleValue, let duration = event["dur"]?.doubleValue
      else { continue }
      let milliseconds = duration / 1000
      if category == "request" { total = milliseconds }
      guard category == "phase" else { continue }
      if name.hasPrefix("decoder step") { steps.append((milliseconds, 0)) }
      if name == "search" || name == "reorder", !steps.isEmpty { steps[steps.count - 1].search += milliseconds }
      while let last = open.last, last.end <= begin { open.removeLast() }
      let part = Self.part(name)
      if let part { add(part, milliseconds) }
      if part != nil, let around = open.last(where: { $0.part != nil })?.part { add(around, -milliseconds) }
      open.append((begin + duration, part))
    }
    self.total = total
    self.parts = parts
    self.steps = steps
  }

  /// The part that a phase belongs to; nil for a phase that consists of parts.
  private static func part(_ phase: String) -> String? {
    for stream in ["image", "text", "joint"] where phase.hasPrefix("\(stream) layer ") { return "\(stream) layers" }
    if phase.hasPrefix("decoder layer ") { return "decoder layers" }
    if phase.hasPrefix("cross keys and values ") { return "cross keys and values" }
    return phase.hasPrefix("decoder step") ? nil : phase
  }

  /// The sum of the parts whose names `isPart` accepts.
  func sum(_ isPart: (String) -> Bool) -> Double {
    parts.reduce(0) { isPart($1.name) ? $0 + $1.milliseconds : $0 }
  }

  /// Everything from pixels and tokens to what the decoder reads.
  var encoder: Double {
    sum { $0.hasSuffix(" stem") || $0 == "bridge to the decoder" }
      + sum { name in ["image", "text", "joint"].contains { name == "\($0) layers" } }
  }
}
