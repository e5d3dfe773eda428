import Kernels
import Tensor

/// Recognises `x * 0.5 * (1 + erf(x / sqrt(2)))`, in the orders exporters write it.
enum GeluFusion {
  static func run(_ graph: inout Graph) {
    var matcher = PatternMatcher(graph)
    for index in graph.nodes.indices where graph.nodes[index].operatorName == "Mul" {
      guard let source = match(graph.nodes[index], matcher) else { continue }
      let node = graph.nodes[index]
      graph.replaceNode(
        at: index,
        with: Graph.Node("Gelu", domain: "mue", name: node.name, inputs: [source], outputs: node.outputs))
      matcher = PatternMatcher(graph)
    }
    graph.removeDeadNodes()
  }

  /// `node` is the last Mul: its factors, flattened, are x, 0.5 and 1 + erf(x / sqrt 2).
  private static func match(_ node: Graph.Node, _ matcher: PatternMatcher) -> ValueID? {
    var factors: [ValueID] = []
    for case let input? in node.inputs {
      if let inner = matcher.producer(input, "Mul"), matcher.hasOneUser(input) {
        factors += inner.node.inputs.compactMap { $0 }
      } else {
        factors.append(input)
      }
    }
    guard factors.count == 3, let half = factors.firstIndex(where: { matcher.scalar($0) == 0.5 }) else { return nil }
    factors.remove(at: half)
    for (source, gate) in [(factors[0], factors[1]), (factors[1], factors[0])] {
      guard let sum = matcher.producer(gate, "Add") else { continue }
      for (erf, one) in [(sum.node.inputs[0], sum.node.inputs[1]), (sum.node.inputs[1], sum.node.inputs[0])] {
        guard matcher.scalar(one) == 1, let error = matcher.producer(erf, "Erf"),
          case let argument?? = error.node.inputs.first, let index = matcher.producers[argument],
          let (operand, factor) = matcher.scaling(matcher.graph.nodes[index]), operand == source,
          abs(factor - 0.707_106_77) < 1e-5
        else { continue }
        return source
      }
    }
    return nil
  }
}
