import Graph
import Kernels
import Plan
import Tensor

/// States [1, count, width] to the keys and values that one layer caches for them: for tokens that left before it, and
/// for prefixes.
final class PropagationStep {
  /// Keys or values that the plan leaves.
  private struct Output {
    var pointer: UnsafePointer<Float>
    var shape: [Int]
    var layout: AttentionLayout
  }

  let plan: Plan
  let count: Int
  let width: Int
  let input: UnsafeMutablePointer<Float>
  private var outputs: [(keys: Output, values: Output)] = []

  init(
    _ plan: Plan, _ layer: DecoderPartition.Layer, graph: Graph, input: ValueID, count: Int, width: Int
  ) throws(MueError) {
    self.plan = plan
    self.count = count
    self.width = width
    self.input = try plan.operand(input).pointer.assumingMemoryBound(to: Float.self)
    func output(_ value: ValueID, _ node: Int, _ name: String) throws(MueError) -> Output {
      let operand = try plan.operand(value)
      return Output(
        pointer: UnsafePointer(operand.pointer.assumingMemoryBound(to: Float.self)), shape: operand.shape,
        layout: try AttentionLayout(graph.nodes[node].attributes, name))
    }
    for attention in layer.selfAttention {
      outputs.append(
        (
          try output(attention.key, attention.node, "k_layout"), try output(attention.value, attention.node, "v_layout")
        ))
    }
  }

  /// Puts row `index` of what the plan made at `position` of a row's memory.
  func store(_ index: Int, layer: Int, in memory: RowMemory, position: Int) throws(MueError) {
    for (slot, (keys, values)) in outputs.enumerated() {
      try keys.layout.copyRows(
        keys.pointer, keys.shape, index..<index + 1, to: memory.key(layer - 1, slot, position: position))
      try values.layout.copyRows(
        values.pointer, values.shape, index..<index + 1, to: memory.value(layer - 1, slot, position: position))
    }
  }

  var multiplyAddsPerToken: Int { plan.multiplyAdds / count }
}
