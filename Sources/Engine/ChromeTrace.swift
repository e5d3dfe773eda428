import CKernels
import JSON
import Kernels
import Tensor

/// A trace in Chrome's format, which Perfetto and chrome://tracing show: one object with `traceEvents`, times in
/// microseconds.
struct ChromeTrace {
  let json: JSONValue

  init(_ recorder: TraceRecorder, model: Model) {
    let start = recorder.spans.first?.begin ?? 0
    var events = [
      Self.name("process_name", "MuE"),
      Self.name("thread_name", "\(model.threads) threads, \(String(cString: mk_isa_name()))"),
    ]
    for span in recorder.spans { events.append(Self.event(span, start: start)) }
    json = [
      "traceEvents": .array(events), "displayTimeUnit": "ms",
      "otherData": [
        "file": model.graph.file.map { .string($0) } ?? .null, "threads": .int(model.threads),
        "cpu": .string(String(cString: mk_isa_name())), "dropped": .int(recorder.dropped),
      ],
    ]
  }

  private static func name(_ kind: JSONValue, _ name: String) -> JSONValue {
    ["ph": "M", "name": kind, "pid": 1, "tid": 1, "args": ["name": .string(name)]]
  }

  private static func event(_ span: TraceRecorder.Span, start: UInt64) -> JSONValue {
    let nanoseconds = Int(clamping: span.end &- span.begin)
    var members: [(String, JSONValue)] = [
      ("ph", "X"), ("pid", 1), ("tid", 1), ("ts", microseconds(Int(clamping: span.begin &- start))),
      ("dur", microseconds(nanoseconds)),
    ]
    switch span.subject {
    case .request(let name): members += [("name", .string(name)), ("cat", "request")]
    case .phase(let name): members += [("name", .string(name)), ("cat", "phase")]
    case .operation(let label, let multiplyAdds):
      members += [
        ("name", .string(label.name)), ("cat", .string(label.operatorName)),
        ("args", arguments(label, multiplyAdds: multiplyAdds ?? label.multiplyAdds ?? 0, nanoseconds: nanoseconds)),
      ]
    }
    return .object(JSONObject(members))
  }

  private static func arguments(_ label: OperatorLabel, multiplyAdds: Int, nanoseconds: Int) -> JSONValue {
    var members: [(String, JSONValue)] = [
      ("inputs", .array(label.inputs.map { $0.map { .string(text($0)) } ?? .null })),
      ("outputs", .array(label.outputs.map { .string(text($0)) })),
    ]
    if multiplyAdds > 0 {
      members.append(("multiply_adds", .int(multiplyAdds)))
      if nanoseconds > 0 { members.append(("gflops", .double(2 * Double(multiplyAdds) / Double(nanoseconds)))) }
    }
    let nodes = label.nodes()
    if nodes != [label.name] { members.append(("nodes", .array(nodes.map { .string($0) }))) }
    return .object(JSONObject(members))
  }

  private static func text(_ info: TensorInfo) -> String {
    "\(info.type.name)[\(info.shape.map(String.init).joined(separator: ", "))]"
  }

  /// Whole nanoseconds as microseconds: three decimals at most.
  private static func microseconds(_ nanoseconds: Int) -> JSONValue { .double(Double(nanoseconds) / 1000) }
}
