import Graph
import Plan
import Tensor

extension Session {
  /// Runs the whole graph as it stands on named tensors, and returns the named outputs (all of them by default).
  public func run(
    _ inputs: [String: Tensor], outputs: [String]? = nil, cancellation: CancellationToken? = nil
  ) throws(MueError) -> [String: Tensor] {
    let graph = model.graph
    trace?.begin(request: "run")
    defer { trace?.end() }
    for name in inputs.keys.sorted() where !graph.inputs.contains(where: { $0.name == name }) {
      throw MueError(.invalidArgument, "the graph has no input '\(name)'", at: .init(argument: name))
    }
    var ports: [Graph.Port] = []
    for name in outputs ?? graph.outputs.map(\.name) {
      guard let port = graph.outputs.first(where: { $0.name == name }) else {
        throw MueError(.invalidArgument, "the graph has no output '\(name)'", at: .init(argument: name))
      }
      ports.append(port)
    }
    for port in graph.inputs {
      guard let tensor = inputs[port.name] else {
        throw MueError(.invalidArgument, "input '\(port.name)' is missing", at: .init(argument: port.name))
      }
      try Self.check(tensor, port)
    }
    let plan = try graphPlan(inputs, ports)
    for port in graph.inputs {
      if let tensor = inputs[port.name] { try plan.load(port.value, from: tensor.pointer) }
    }
    try plan.run { cancellation?.isCancelled ?? false }
    var results: [String: Tensor] = [:]
    for port in ports { results[port.name] = try plan.copy(of: port.value) }
    return results
  }

  private static func check(_ tensor: Tensor, _ port: Graph.Port) throws(MueError) {
    if let type = port.type, type != tensor.type {
      throw MueError(
        .invalidArgument, "input '\(port.name)' is \(type.name), not \(tensor.type.name)",
        at: .init(argument: port.name))
    }
    guard let declared = port.shape else { return }
    guard declared.count == tensor.shape.count else {
      throw MueError(
        .invalidArgument, "input '\(port.name)' has rank \(declared.count), not \(tensor.shape.count)",
        at: .init(argument: port.name))
    }
    for (axis, dimension) in declared.enumerated() {
      if case .fixed(let size) = dimension, size != tensor.shape[axis] {
        throw MueError(
          .invalidArgument, "axis \(axis) of input '\(port.name)' is \(size), not \(tensor.shape[axis])",
          at: .init(argument: port.name))
      }
    }
  }

  /// The plan for these shapes, kept for the next call.
  private func graphPlan(_ inputs: [String: Tensor], _ ports: [Graph.Port]) throws(MueError) -> Plan {
    let key = model.graph.inputs.map { "\($0.name)\(inputs[$0.name]?.shape ?? [])" } + ports.map(\.name)
    if let known = graphPlans.first(where: { $0.key == key }) { return known.plan }
    var feeds: [ValueID: Feed] = [:]
    for port in model.graph.inputs {
      if let tensor = inputs[port.name] { feeds[port.value] = .buffer(tensor.type, tensor.shape) }
    }
    let plan = try Plan(model.graph, outputs: ports.map(\.value), feeds: feeds, context: context)
    if graphPlans.count >= 8 { graphPlans.removeFirst() }
    graphPlans.append((key, plan))
    return plan
  }
}
