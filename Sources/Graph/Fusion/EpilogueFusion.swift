import Kernels

/// Moves the activation and the residual addition that follow a product into the product itself.
enum EpilogueFusion {
  static func run(_ graph: inout Graph, shapes: ShapeTable) {
    for index in graph.nodes.indices {
      activate(&graph, index)
      addResidual(&graph, index, shapes)
    }
    graph.removeDeadNodes()
  }

  private static let activations: [String: String] = [
    ":Relu": "relu", ":Sigmoid": "sigmoid", ":Tanh": "tanh", "mue:Gelu": "gelu", ":Gelu": "gelu",
  ]

  /// `activation(product)`, the activation being the node at `index`.
  private static func activate(_ graph: inout Graph, _ index: Int) {
    let node = graph.nodes[index]
    guard var name = activations["\(node.domain):\(node.operatorName)"], node.inputs.count == 1 else { return }
    if node.operatorName == "Gelu", (try? node.attributes.string("approximate", default: "none")) == "tanh" {
      name = "gelu_tanh"
    }
    let matcher = PatternMatcher(graph)
    guard var fused = product(node.inputs[0], matcher), activation(of: fused) == "none" else { return }
    fused.attributes.values["activation"] = .string(name)
    fused.outputs = node.outputs
    graph.replaceNode(at: index, with: fused)
  }

  /// `product + residual`, the Add being the node at `index`.
  private static func addResidual(_ graph: inout Graph, _ index: Int, _ shapes: ShapeTable) {
    let node = graph.nodes[index]
    guard node.domain.isEmpty, node.operatorName == "Add", node.inputs.count == 2 else { return }
    let matcher = PatternMatcher(graph)
    for (operand, residual) in [(node.inputs[1], node.inputs[0]), (node.inputs[0], node.inputs[1])] {
      guard let operand, let residual, var fused = product(operand, matcher), fused.inputs.count < 4,
        shapes.haveSameShape(operand, residual), graph.constant(residual) == nil,
        // The kernels add the residual before the activation.
        activation(of: fused) == "none"
      else { continue }
      while fused.inputs.count < 3 { fused.inputs.append(nil) }
      fused.inputs.append(residual)
      fused.outputs = node.outputs
      graph.replaceNode(at: index, with: fused)
      return
    }
  }

  /// The product that makes `value` and that nothing else reads, as a fused node.
  private static func product(_ value: ValueID?, _ matcher: PatternMatcher) -> Graph.Node? {
    guard matcher.hasOneUser(value) else { return nil }
    if let linear = matcher.producer(value, "Linear", domain: "mue") { return linear.node }
    if let convolution = matcher.producer(value, "FusedConv", domain: "mue") { return convolution.node }
    guard var convolution = matcher.producer(value, "Conv")?.node,
      matcher.graph.constant(convolution.inputs[1]) != nil
    else { return nil }
    convolution.operatorName = "FusedConv"
    convolution.domain = "mue"
    convolution.attributes.values["activation"] = .string("none")
    return convolution
  }

  private static func activation(of node: Graph.Node) -> String {
    (try? node.attributes.string("activation", default: "none")) ?? "none"
  }
}
