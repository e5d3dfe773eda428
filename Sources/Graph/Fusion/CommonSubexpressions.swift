import Kernels

/// Lets equal nodes on equal inputs share one result: exporters repeat shape arithmetic and casts of tied weights.
enum CommonSubexpressions {
  static func run(_ graph: inout Graph) {
    var known: [String: [ValueID?]] = [:]
    var replacement: [ValueID: ValueID] = [:]
    for index in graph.nodes.indices {
      for slot in graph.nodes[index].inputs.indices {
        if let input = graph.nodes[index].inputs[slot], let source = replacement[input] {
          graph.nodes[index].inputs[slot] = source
        }
      }
      let node = graph.nodes[index]
      guard let key = key(of: node) else { continue }
      guard let outputs = known[key], outputs.count == node.outputs.count,
        zip(outputs, node.outputs).allSatisfy({ ($0 == nil) == ($1 == nil) })
      else {
        known[key] = node.outputs
        continue
      }
      for (old, new) in zip(node.outputs, outputs) {
        if let old, let new { replacement[old] = new }
      }
    }
    for index in graph.outputs.indices {
      if let source = replacement[graph.outputs[index].value] { graph.outputs[index].value = source }
    }
    graph.removeDeadNodes()
  }

  /// A text that two nodes share exactly when they compute the same; nil for nodes that are never shared.
  private static func key(of node: Graph.Node) -> String? {
    guard !node.operatorName.hasPrefix("Random"), node.operatorName != "Bernoulli", node.operatorName != "Multinomial"
    else { return nil }
    var key = "\(node.domain):\(node.operatorName)("
    for input in node.inputs { key += input.map { "\($0)," } ?? "-," }
    key += ")\(node.outputs.count)"
    for (name, value) in node.attributes.values.sorted(by: { $0.key < $1.key }) {
      switch value {
      case .int(let number): key += ";\(name)=\(number)"
      case .float(let number): key += ";\(name)=\(number.bitPattern)"
      case .string(let text): key += ";\(name)='\(text)'"
      case .ints(let numbers): key += ";\(name)=\(numbers)"
      case .floats(let numbers): key += ";\(name)=\(numbers.map(\.bitPattern))"
      case .strings, .tensor: return nil
      }
    }
    return key
  }
}
