import Kernels
import Tensor

/// Computes nodes whose inputs are all constants.
enum ConstantFolding {
  /// - Parameter keepingWeightTransposes: leave the transposition of a weight to `LinearFusion`, which takes the
  ///   weight as it is stored: folding it would keep tied weights in memory twice.
  static func run(
    _ graph: inout Graph, keepingWeightTransposes: Bool, context: ComputeContext
  ) throws(MueError) {
    let matcher = PatternMatcher(graph)
    var kept: [Graph.Node] = []
    for node in graph.nodes {
      let isConstant = !node.inputs.isEmpty && node.inputs.allSatisfy { $0 == nil || graph.constant($0) != nil }
      guard isConstant, let kernel = graph.kernel(of: node),
        !(keepingWeightTransposes && isWeightTranspose(node, matcher))
      else {
        kept.append(node)
        continue
      }
      do {
        if try grows(node, kernel, graph) {
          kept.append(node)
          continue
        }
        let results = try OperatorTable.evaluate(
          kernel, inputs: node.inputs.map { graph.constant($0) }, attributes: node.attributes, opset: graph.opset,
          outputCount: node.outputs.count, context: context)
        for (output, tensor) in zip(node.outputs, results) {
          if let output { graph.values[output].constant = tensor }
        }
      } catch {
        throw error.located(graph.location(of: node))
      }
    }
    graph.nodes = kept
    graph.removeDeadNodes()
  }

  /// True when the results are large and much larger than what they are made of, such as a position bias from its table:
  /// they are left to be made when a request needs them.
  private static func grows(_ node: Graph.Node, _ kernel: Operator, _ graph: Graph) throws(MueError) -> Bool {
    let constants = node.inputs.map { graph.constant($0) }
    let results = try kernel.infer(
      Inference(
        inputs: constants.map { $0.map { TensorInfo($0) } }, attributes: node.attributes, opset: graph.opset,
        outputCount: node.outputs.count))
    let from = constants.reduce(0) { $0 + ($1?.byteCount ?? 0) }
    var to = 0
    for info in results { to += try Shape.byteCount(info.shape, info.type) }
    return to > 1 << 20 && to > 2 * from
  }

  private static func isWeightTranspose(_ node: Graph.Node, _ matcher: PatternMatcher) -> Bool {
    guard node.domain.isEmpty, node.operatorName == "Transpose", case let output?? = node.outputs.first else {
      return false
    }
    return !matcher.users[output].isEmpty
      && matcher.users[output].allSatisfy { index in
        let user = matcher.graph.nodes[index]
        return user.domain.isEmpty && user.operatorName == "MatMul" && user.inputs.last == output
      }
  }
}
