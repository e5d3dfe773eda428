import Kernels
import Tensor

/// Folds an inference BatchNormalization into the convolution before it.
enum BatchNormFolding {
  static func run(_ graph: inout Graph) {
    var matcher = PatternMatcher(graph)
    for index in graph.nodes.indices where graph.nodes[index].operatorName == "BatchNormalization" {
      let node = graph.nodes[index]
      guard node.domain.isEmpty, node.inputs.count == 5, case let input?? = node.inputs.first,
        let convolution = matcher.producer(input, "Conv"), matcher.hasOneUser(input),
        let folded = try? fold(node, into: convolution.node, graph)
      else { continue }
      let weight = graph.addValue("\(node.name)/weight", constant: folded.weight)
      let bias = graph.addValue("\(node.name)/bias", constant: folded.bias)
      var fused = convolution.node
      fused.inputs = [convolution.node.inputs[0], weight, bias]
      fused.outputs = [node.outputs.first ?? nil]
      graph.replaceNode(at: index, with: fused)
      matcher = PatternMatcher(graph)
    }
    graph.removeDeadNodes()
  }

  private static func fold(
    _ node: Graph.Node, into convolution: Graph.Node, _ graph: Graph
  ) throws(MueError) -> (weight: Tensor, bias: Tensor)? {
    guard convolution.inputs.count >= 2, let weight = graph.constant(convolution.inputs[1]), weight.type == .float32,
      let scale = graph.constant(node.inputs[1]), let shift = graph.constant(node.inputs[2]),
      let mean = graph.constant(node.inputs[3]), let variance = graph.constant(node.inputs[4]),
      let channels = weight.shape.first, channels > 0,
      [scale, shift, mean, variance].allSatisfy({ $0.type == .float32 && $0.count == channels })
    else { return nil }
    var bias = [Float](repeating: 0, count: channels)
    if convolution.inputs.count > 2, convolution.inputs[2] != nil {
      guard let constant = graph.constant(convolution.inputs[2]), constant.type == .float32, constant.count == channels
      else { return nil }
      bias = try constant.elements(as: Float.self)
    }
    let epsilon = try node.attributes.float("epsilon", default: 1e-5)
    let scales = try scale.elements(as: Float.self)
    let shifts = try shift.elements(as: Float.self)
    let means = try mean.elements(as: Float.self)
    let variances = try variance.elements(as: Float.self)
    var weights = try weight.elements(as: Float.self)
    let perChannel = weight.count / channels
    for channel in 0..<channels {
      let factor = scales[channel] / (variances[channel] + epsilon).squareRoot()
      for index in channel * perChannel..<(channel + 1) * perChannel { weights[index] *= factor }
      bias[channel] = (bias[channel] - means[channel]) * factor + shifts[channel]
    }
    return (try Tensor(.float32, weight.shape, weights), try Tensor(.float32, [channels], bias))
  }
}
