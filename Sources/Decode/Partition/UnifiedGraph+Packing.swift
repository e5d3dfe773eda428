import Graph
import Kernels
import Tensor

extension UnifiedGraph {
  /// Brings all weights into the layout of their kernels, so that no request has to.
  public func packWeights(context: ComputeContext) throws(MueError) {
    for node in graph.nodes {
      guard let pack = graph.kernel(of: node)?.pack else { continue }
      let inputs = node.inputs.map { input in
        input.flatMap { value in
          shapes.entries[value].map { entry in
            TensorInfo(entry.type, entry.shape.map(\.base), constant: graph.constant(value))
          }
        }
      }
      do {
        try pack(
          Inference(
            inputs: inputs, attributes: node.attributes, opset: graph.opset, outputCount: node.outputs.count), context)
      } catch {
        throw error.located(graph.location(of: node))
      }
    }
  }
}
