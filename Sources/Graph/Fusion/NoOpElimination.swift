/// Removes nodes that hand their input on unchanged: Identity, and Dropout at inference.
enum NoOpElimination {
  static func run(_ graph: inout Graph) {
    // One sweep in graph order: a chain of no-ops collapses to its first input.
    var replacement: [ValueID: ValueID] = [:]
    for index in graph.nodes.indices {
      for slot in graph.nodes[index].inputs.indices {
        if let input = graph.nodes[index].inputs[slot], let source = replacement[input] {
          graph.nodes[index].inputs[slot] = source
        }
      }
      let node = graph.nodes[index]
      guard node.domain.isEmpty, node.operatorName == "Identity" || node.operatorName == "Dropout",
        case let input?? = node.inputs.first, case let output?? = node.outputs.first,
        // A Dropout whose mask is read, or that is switched to training, stays.
        node.outputs.count == 1, node.inputs.count < 3
      else { continue }
      replacement[output] = input
    }
    for index in graph.outputs.indices {
      if let source = replacement[graph.outputs[index].value] { graph.outputs[index].value = source }
    }
    graph.removeDeadNodes()
  }
}
