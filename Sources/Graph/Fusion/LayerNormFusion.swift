import Kernels
import Tensor

/// Recognises the LayerNorm that exporters spell out below opset 17:
/// `(x - mean) / sqrt(mean((x - mean)^2) + eps) * gamma + beta` over the last axis.
enum LayerNormFusion {
  static func run(_ graph: inout Graph) {
    var matcher = PatternMatcher(graph)
    for index in graph.nodes.indices {
      guard let fused = match(graph.nodes[index], matcher) else { continue }
      graph.replaceNode(at: index, with: fused)
      matcher = PatternMatcher(graph)
    }
    graph.removeDeadNodes()
  }

  /// `node` is the last Add of the pattern.
  private static func match(_ node: Graph.Node, _ matcher: PatternMatcher) -> Graph.Node? {
    guard node.domain.isEmpty, node.operatorName == "Add", node.inputs.count == 2 else { return nil }
    for (scaled, beta) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
      guard isVector(beta, matcher), let product = matcher.producer(scaled, "Mul"), matcher.hasOneUser(scaled) else {
        continue
      }
      for (normalized, gamma) in [
        (product.node.inputs[0], product.node.inputs[1]), (product.node.inputs[1], product.node.inputs[0]),
      ] {
        guard isVector(gamma, matcher), let (source, epsilon) = normalization(normalized, matcher) else { continue }
        return Graph.Node(
          "LayerNormalization", name: node.name, inputs: [source, gamma, beta], outputs: node.outputs,
          attributes: Attributes(["axis": .int(-1), "epsilon": .float(epsilon)]))
      }
    }
    return nil
  }

  private static func normalization(_ value: ValueID?, _ matcher: PatternMatcher) -> (ValueID, Float)? {
    guard let division = matcher.producer(value, "Div"), matcher.hasOneUser(value),
      let centred = matcher.producer(division.node.inputs[0], "Sub"),
      let root = matcher.producer(division.node.inputs[1], "Sqrt"),
      let shifted = matcher.producer(root.node.inputs[0], "Add"),
      let source = centred.node.inputs[0],
      let mean = matcher.producer(centred.node.inputs[1], "ReduceMean"), mean.node.inputs[0] == source,
      reducesLastAxis(mean.node, matcher)
    else { return nil }
    for (variance, epsilon) in [
      (shifted.node.inputs[0], shifted.node.inputs[1]), (shifted.node.inputs[1], shifted.node.inputs[0]),
    ] {
      guard let epsilon = matcher.scalar(epsilon), let average = matcher.producer(variance, "ReduceMean"),
        reducesLastAxis(average.node, matcher), isSquare(average.node.inputs[0], of: centred.node, matcher)
      else { continue }
      return (source, epsilon)
    }
    return nil
  }

  /// `value` is the square of `x - mean`, which some exporters compute twice.
  private static func isSquare(_ value: ValueID?, of centred: Graph.Node, _ matcher: PatternMatcher) -> Bool {
    func isCentred(_ operand: ValueID?) -> Bool {
      matcher.producer(operand, "Sub").map { $0.node.inputs == centred.inputs } ?? false
    }
    if let power = matcher.producer(value, "Pow") {
      return matcher.scalar(power.node.inputs[1]) == 2 && isCentred(power.node.inputs[0])
    }
    if let product = matcher.producer(value, "Mul") {
      return product.node.inputs[0] == product.node.inputs[1] && isCentred(product.node.inputs[0])
    }
    return false
  }

  private static func reducesLastAxis(_ node: Graph.Node, _ matcher: PatternMatcher) -> Bool {
    guard (try? node.attributes.int("keepdims", default: 1)) == 1 else { return false }
    if let axes = (try? node.attributes.ints("axes")) ?? nil { return axes == [-1] }
    guard node.inputs.count == 2, let axes = try? matcher.graph.constant(node.inputs[1])?.integers() else {
      return false
    }
    return axes == [-1]
  }

  private static func isVector(_ value: ValueID?, _ matcher: PatternMatcher) -> Bool {
    matcher.graph.constant(value)?.shape.count == 1
  }
}
