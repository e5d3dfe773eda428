import Kernels
import Tensor

/// Turns products with a constant matrix (MatMul, Gemm, and the Add of a bias after them) into `Linear`.
enum LinearFusion {
  static func run(_ graph: inout Graph) {
    for index in graph.nodes.indices {
      if let fused = linear(graph.nodes[index], graph, index) { graph.replaceNode(at: index, with: fused) }
    }
    var matcher = PatternMatcher(graph)
    for index in graph.nodes.indices where graph.nodes[index].operatorName == "Add" {
      guard let fused = biased(graph.nodes[index], matcher) else { continue }
      graph.replaceNode(at: index, with: fused)
      matcher = PatternMatcher(graph)
    }
    graph.removeDeadNodes()
  }

  private static func linear(_ node: Graph.Node, _ graph: Graph, _ index: Int) -> Graph.Node? {
    guard node.domain.isEmpty, node.inputs.count >= 2 else { return nil }
    switch node.operatorName {
    case "MatMul":
      if isMatrix(graph.constant(node.inputs[1])) {
        return make(node, weight: node.inputs[1], bias: nil, transposed: false)
      }
      // The transposition of a stored weight: take the weight as it is.
      guard let weight = node.inputs[1],
        let transpose = graph.nodes.first(where: { $0.outputs.first == weight }),
        transpose.operatorName == "Transpose", transpose.domain.isEmpty,
        (try? transpose.attributes.ints("perm")) ?? [1, 0] == [1, 0], isMatrix(graph.constant(transpose.inputs[0]))
      else { return nil }
      return make(node, weight: transpose.inputs[0], bias: nil, transposed: true)
    case "Gemm":
      guard (try? node.attributes.float("alpha", default: 1)) == 1,
        (try? node.attributes.float("beta", default: 1)) == 1,
        (try? node.attributes.int("transA", default: 0)) == 0, isMatrix(graph.constant(node.inputs[1])),
        let transposed = try? node.attributes.int("transB", default: 0)
      else { return nil }
      let bias = node.inputs.count > 2 ? node.inputs[2] : nil
      let columns = graph.constant(node.inputs[1])?.shape[transposed == 0 ? 1 : 0]
      if bias != nil, graph.constant(bias)?.shape != columns.map({ [$0] }) { return nil }
      return make(node, weight: node.inputs[1], bias: bias, transposed: transposed != 0)
    default:
      return nil
    }
  }

  private static func isMatrix(_ tensor: Tensor?) -> Bool {
    tensor.map { $0.type == .float32 && $0.shape.count == 2 } ?? false
  }

  private static func make(_ node: Graph.Node, weight: ValueID?, bias: ValueID?, transposed: Bool) -> Graph.Node {
    Graph.Node(
      "Linear", domain: "mue", name: node.name, inputs: [node.inputs[0], weight, bias], outputs: node.outputs,
      attributes: Attributes(["transposed": .int(transposed ? 1 : 0), "activation": .string("none")]))
  }

  /// `Add(Linear(x), bias)` with a constant vector as long as a row.
  private static func biased(_ node: Graph.Node, _ matcher: PatternMatcher) -> Graph.Node? {
    guard node.domain.isEmpty, node.inputs.count == 2 else { return nil }
    for (product, bias) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
      guard let linear = matcher.producer(product, "Linear", domain: "mue"), matcher.hasOneUser(product),
        linear.node.inputs.count == 3, linear.node.inputs[2] == nil,
        let vector = matcher.graph.constant(bias), vector.type == .float32, vector.shape.count == 1,
        let weight = matcher.graph.constant(linear.node.inputs[1]),
        let transposed = try? linear.node.attributes.int("transposed", default: 0),
        vector.count == weight.shape[transposed == 0 ? 1 : 0]
      else { continue }
      var fused = linear.node
      fused.inputs[2] = bias
      fused.outputs = node.outputs
      return fused
    }
    return nil
  }
}
