import Kernels
import Tensor

/// Recognises scaled dot-product attention around a Softmax: `softmax(q k^T * scale + bias0 + bias1) v`.
///
/// Transpositions between [batch, row, head, channel] and [batch, head, row, channel] become the layouts of the fused
/// node, so that nothing is moved in memory.
enum AttentionFusion {
  static func run(_ graph: inout Graph) {
    var matcher = PatternMatcher(graph)
    let dependsOnData = graph.dependents(of: graph.inputs.map(\.value))
    for index in graph.nodes.indices where graph.nodes[index].operatorName == "Softmax" {
      var unscaled: [(scaled: ValueID, plain: ValueID)] = []
      guard let (matched, last) = match(graph.nodes[index], matcher, &unscaled) else { continue }
      for (scaled, plain) in unscaled { graph.replaceUses(of: scaled, with: plain) }
      var fused = matched
      splitBias(&fused, matcher, dependsOnData)
      graph.replaceNode(at: last, with: fused)
      matcher = PatternMatcher(graph)
    }
    graph.removeDeadNodes()
  }

  /// The scores under the Softmax: the product, the scale and the biases on the way.
  private struct Scores {
    var product: Graph.Node
    var scale: Float
    var biases: [ValueID]
  }

  private static func match(
    _ softmax: Graph.Node, _ matcher: PatternMatcher, _ unscaled: inout [(scaled: ValueID, plain: ValueID)]
  ) -> (Graph.Node, Int)? {
    guard softmax.domain.isEmpty, isLastAxis(softmax), let scores = scores(softmax.inputs[0], matcher),
      let context = matcher.onlyUser(softmax.outputs[0], "MatMul"), context.node.inputs[0] == softmax.outputs[0],
      let q = scores.product.inputs[0], let k = scores.product.inputs[1], let v = context.node.inputs[1]
    else { return nil }
    var scale = scores.scale
    let query = operand(q, matcher, scale: &scale)
    let key = keyOperand(k, matcher, scale: &scale)
    var ignored: Float = 1
    let value = operand(v, matcher, scale: &ignored)
    guard ignored == 1 else { return nil }
    for operand in [query.value, key.value] { takeScale(before: operand, matcher, &scale, &unscaled) }
    var outputs = context.node.outputs
    var last = context.index
    var layout = "BHTD"
    if let transpose = matcher.onlyUser(outputs[0], "Transpose"),
      matcher.permutation(transpose.node) == [0, 2, 1, 3]
    {
      outputs = transpose.node.outputs
      last = transpose.index
      layout = "BTHD"
    }
    let fused = Graph.Node(
      "Attention", domain: "mue", name: softmax.name,
      inputs: [query.value, key.value, value.value] + scores.biases.map { $0 }, outputs: outputs,
      attributes: Attributes([
        "scale": .float(scale), "q_layout": .string(query.layout), "k_layout": .string(key.layout),
        "v_layout": .string(value.layout), "out_layout": .string(layout),
      ]))
    return (fused, last)
  }

  /// A bias that adds a mask (which depends on the request) to positions (which depend on sizes alone) becomes two, so
  /// that the positions can be computed once.
  private static func splitBias(_ fused: inout Graph.Node, _ matcher: PatternMatcher, _ dependsOnData: [Bool]) {
    guard fused.inputs.count == 4, let sum = matcher.producer(fused.inputs[3], "Add"), sum.node.inputs.count == 2,
      let a = sum.node.inputs[0], let b = sum.node.inputs[1], dependsOnData[a] != dependsOnData[b]
    else { return }
    fused.inputs[3] = a
    fused.inputs.append(b)
  }

  private static func isLastAxis(_ softmax: Graph.Node) -> Bool {
    guard let axis = try? softmax.attributes.int("axis", default: -1) else { return false }
    return axis == -1 || axis == 3
  }

  /// Walks from the Softmax down to the product of queries and keys.
  private static func scores(_ start: ValueID?, _ matcher: PatternMatcher) -> Scores? {
    guard let value = start, matcher.hasOneUser(value), let index = matcher.producers[value] else { return nil }
    let node = matcher.graph.nodes[index]
    guard node.domain.isEmpty else { return nil }
    if node.operatorName == "MatMul" { return Scores(product: node, scale: 1, biases: []) }
    if let (operand, factor) = matcher.scaling(node) {
      // (scores + bias) * scale would scale the bias too: only a scale right on the product is taken.
      guard let inner = scores(operand, matcher), inner.biases.isEmpty else { return nil }
      return Scores(product: inner.product, scale: inner.scale * factor, biases: [])
    }
    if node.operatorName == "Add", node.inputs.count == 2 {
      for (path, bias) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
        guard let bias, let inner = scores(path, matcher), inner.biases.count < 2 else { continue }
        return Scores(product: inner.product, scale: inner.scale, biases: inner.biases + [bias])
      }
    }
    return nil
  }

  /// Looks through a transposition of rows and heads, and takes a scalar factor into the scale.
  private static func operand(
    _ start: ValueID, _ matcher: PatternMatcher, scale: inout Float
  ) -> (value: ValueID, layout: String) {
    var value = start
    var layout = "BHTD"
    takeScale(&value, matcher, &scale)
    if let transpose = matcher.producer(value, "Transpose"), matcher.permutation(transpose.node) == [0, 2, 1, 3],
      let source = transpose.node.inputs[0]
    {
      value = source
      layout = "BTHD"
      takeScale(&value, matcher, &scale)
    }
    return (value, layout)
  }

  /// The keys enter the product transposed: undo that, and the transposition of rows and heads before it.
  private static func keyOperand(
    _ start: ValueID, _ matcher: PatternMatcher, scale: inout Float
  ) -> (value: ValueID, layout: String) {
    var value = start
    takeScale(&value, matcher, &scale)
    guard let transpose = matcher.producer(value, "Transpose"), let permutation = matcher.permutation(transpose.node),
      let source = transpose.node.inputs[0]
    else { return (value, "BHDT") }
    switch permutation {
    case [0, 2, 3, 1]:
      var inner = source
      takeScale(&inner, matcher, &scale)
      return (inner, "BTHD")
    case [0, 1, 3, 2]: return operand(source, matcher, scale: &scale)
    case [0, 2, 1]: return (source, "BHTD")
    default: return (value, "BHDT")
    }
  }

  /// The same where queries or keys are scaled before their channels become heads: then `plain` is to be read instead. Shapes
  /// of the scaled value, from which the heads' are often made, are those of the plain one.
  private static func takeScale(
    before value: ValueID, _ matcher: PatternMatcher, _ scale: inout Float,
    _ unscaled: inout [(scaled: ValueID, plain: ValueID)]
  ) {
    guard let reshape = matcher.producer(value, "Reshape"), matcher.hasOneUser(value),
      let scaled = reshape.node.inputs[0], let index = matcher.producers[scaled],
      let (plain, factor) = matcher.scaling(matcher.graph.nodes[index]),
      let constant = matcher.otherOperand(matcher.graph.nodes[index], than: plain),
      matcher.graph.constant(constant)?.shape.isEmpty == true, !unscaled.contains(where: { $0.scaled == scaled }),
      matcher.isReadForItsShape(scaled, butBy: reshape.index)
    else { return }
    unscaled.append((scaled, plain))
    scale *= factor
  }

  private static func takeScale(_ value: inout ValueID, _ matcher: PatternMatcher, _ scale: inout Float) {
    guard matcher.hasOneUser(value), let index = matcher.producers[value],
      let (operand, factor) = matcher.scaling(matcher.graph.nodes[index])
    else { return }
    value = operand
    scale *= factor
  }
}
