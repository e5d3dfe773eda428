import CKernels
import Decode
import Exit
import Graph
import JSON
import Streams
import Tensor

extension Model {
  /// What `mue inspect` prints: streams, layers, parameters, operators, exits, and how tokens are decoded.
  public func inspect() throws(MueError) -> JSONValue {
    var operators: [String: Int] = [:]
    for node in (unified?.graph ?? graph).nodes {
      let name = node.domain.isEmpty ? node.operatorName : "\(node.domain).\(node.operatorName)"
      operators[name, default: 0] += 1
    }
    let parameters = (unified?.graph ?? graph).values.reduce(0) { $0 + ($1.constant?.count ?? 0) }
    return .object(
      JSONObject([
        ("file", graph.file.map { .string($0) } ?? .null),
        ("opset", .int(graph.opset)),
        ("inputs", .array(inputs.map(Self.json))),
        ("outputs", .array(outputs.map(Self.json))),
        ("parameters", .int(parameters)),
        ("nodes", .int((unified?.graph ?? graph).nodes.count)),
        ("operators", .object(JSONObject(operators.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) }))),
        ("streams", streamsJSON()),
        ("decoding", decodingJSON()),
        ("tasks", .array(tasks.map { .string($0.name) })),
        ("exits", exitsJSON()),
        (
          "unsupported",
          .array(
            unsupportedNodes.map { node in
              .object(
                JSONObject([
                  ("node", .string(node.node)), ("operator", .string(node.operatorName)),
                  ("reason", .string(node.reason)),
                ]))
            })
        ),
      ]))
  }

  private static func json(_ tensor: TensorDescription) -> JSONValue {
    .object(
      JSONObject([
        ("name", .string(tensor.name)), ("type", .string(tensor.type.name)),
        ("shape", .array(zip(tensor.shape, tensor.dimensionNames).map { $0.map { .int($0) } ?? .string($1) })),
      ]))
  }

  private func streamsJSON() -> JSONValue {
    guard let unified else { return .object(JSONObject()) }
    return .object(
      JSONObject(
        unified.streams.all.map { stream in
          let shape = unified.shapes.description(of: stream.first) ?? []
          return (
            stream.kind.rawValue,
            .object(
              JSONObject([
                ("layers", .int(stream.layerCount)), ("state", .array(shape.map { .string($0) })),
                ("values", .array(stream.states.map { .string(unified.graph.values[$0].name) })),
              ]))
          )
        }))
  }

  private func decodingJSON() -> JSONValue {
    guard let decoder = unified?.decoder else { return .null }
    let verdict = shared.check.result
    let mode: String
    if decoder.obstacle != nil || verdict?.isIncremental == false {
      mode = "whole prefix"
    } else {
      mode = verdict == nil ? "one token at a time, to be verified on the first request" : "one token at a time"
    }
    return .object(
      JSONObject([
        ("mode", .string(mode)),
        ("reason", (decoder.obstacle ?? verdict?.reason).map { .string($0) } ?? .null),
      ]))
  }

  private func exitsJSON() -> JSONValue {
    guard let exits = calibratedExits else { return .null }
    return .object(
      JSONObject([
        ("image", .double(exits.image)), ("text", .double(exits.text)),
        (
          "decoder",
          .object(
            JSONObject([
              ("theta", .double(exits.decoder.theta)), ("schedule", .string(exits.decoder.schedule.rawValue)),
              ("beta", .double(exits.decoder.beta)), ("tau", .double(exits.decoder.tau)),
            ]))
        ),
      ]))
  }
}
