import Graph
import Kernels
import Plan
import Tensor

/// What the decoder's layers take from one encoded sample: made when a token first reaches the layer.
final class CrossMemory {
  private let sample: EncodedSample
  private var layers: [[ValueID: Tensor]?]
  private var stepLayers: [CrossLayer?]
  /// Where the memory of what plans have made goes.
  private var spares: SpareMemory?
  private(set) var multiplyAdds = 0
  /// The figure of one layer; 0 before the first.
  private(set) var multiplyAddsPerLayer = 0

  init(_ sample: EncodedSample, layerCount: Int) {
    self.sample = sample
    layers = [[ValueID: Tensor]?](repeating: nil, count: layerCount)
    stepLayers = [CrossLayer?](repeating: nil, count: layerCount)
  }

  deinit {
    guard let spares else { return }
    // Memory that somebody holds beside is not kept, so each is taken out of where it was.
    for layer in layers.indices {
      while let memory = stepLayers[layer]?.packed.popLast()?.memory { spares.keep(memory) }
      stepLayers[layer] = nil
      forgetValues(layer: layer + 1)
    }
  }

  /// The encoder values of layer `layer` (from 1), as whole prefixes read them. Cross keys and values are row-major:
  /// [1, rows, heads, channels].
  func values(layer: Int, plans: CrossPlans, isCancelled: () -> Bool) throws(MueError) -> [ValueID: Tensor] {
    if let known = layers[layer - 1] { return known }
    var (values, missing, plan) = try make(layer, plans, isCancelled)
    for value in missing { values[value] = try plan?.copy(of: value, from: plans.context.workspace.spares) }
    layers[layer - 1] = values
    return values
  }

  /// The encoder values of layer `layer` (from 1), as steps read them.
  func stepValues(layer: Int, plans: CrossPlans, isCancelled: () -> Bool) throws(MueError) -> CrossLayer {
    if let known = stepLayers[layer - 1] { return known }
    let made: CrossLayer
    if plans.packsKeys {
      made = try pack(layer, plans, isCancelled)
    } else {
      let values = try self.values(layer: layer, plans: plans, isCancelled: isCancelled)
      made = CrossLayer(values: values, infos: values.mapValues { TensorInfo($0.type, $0.shape) })
    }
    stepLayers[layer - 1] = made
    return made
  }

  /// What the bridge does not have of a layer's values is left in the memory of the plan that makes it.
  private func make(
    _ layer: Int, _ plans: CrossPlans, _ isCancelled: () -> Bool
  ) throws(MueError) -> (values: [ValueID: Tensor], missing: [ValueID], plan: Plan?) {
    let wanted = plans.decoder.layers[layer - 1].encoderValues
    var values: [ValueID: Tensor] = [:]
    for value in wanted { values[value] = sample.bridge[value] }
    let missing = wanted.filter { values[$0] == nil }
    guard !missing.isEmpty else { return (values, [], nil) }
    plans.trace?.begin("cross keys and values \(layer)")
    defer { plans.trace?.end() }
    let plan = try plans.plan(layer: layer, bridge: sample.bridge, outputs: missing)
    for (value, tensor) in sample.bridge { try plan.load(value, from: tensor.pointer) }
    try plan.run(isCancelled: isCancelled)
    multiplyAdds += plan.multiplyAdds
    multiplyAddsPerLayer = plan.multiplyAdds
    spares = plans.context.workspace.spares
    return (values, missing, plan)
  }

  /// From what prefixes have read, which then goes, or from where the plan leaves it.
  private func pack(_ layer: Int, _ plans: CrossPlans, _ isCancelled: () -> Bool) throws(MueError) -> CrossLayer {
    let partition = plans.decoder.layers[layer - 1]
    var (values, missing, plan): ([ValueID: Tensor], [ValueID], Plan?)
    if let known = layers[layer - 1] {
      (values, missing, plan) = (known, [], nil)
    } else {
      (values, missing, plan) = try make(layer, plans, isCancelled)
    }
    var operands: [ValueID: Operand] = [:]
    for (value, tensor) in values { operands[value] = Operand(tensor.type, tensor.shape, tensor.pointer) }
    for value in missing { operands[value] = try plan?.operand(value) }
    var packed: [PackedKeys] = []
    for attention in partition.crossAttention {
      guard let keys = operands[attention.key], let content = operands[attention.value] else {
        throw MueError(.internal, "a layer without its cross keys")
      }
      let attributes = plans.unified.graph.nodes[attention.node].attributes
      packed.append(try PackedKeys(attributes, keys: keys, values: content, context: plans.context))
    }
    for value in partition.crossKeyValues { values[value] = nil }
    for value in missing where !partition.crossKeyValues.contains(value) { values[value] = try plan?.copy(of: value) }
    forgetValues(layer: layer)
    return CrossLayer(values: values, packed: packed, infos: operands.mapValues { $0.info })
  }

  /// Leaves the memory of what a plan has made to others.
  private func forgetValues(layer: Int) {
    for value in layers[layer - 1].map({ Array($0.keys) }) ?? [] where sample.bridge[value] == nil {
      if let spares, let tensor = layers[layer - 1]?.removeValue(forKey: value) { spares.keep(tensor) }
    }
    layers[layer - 1] = nil
  }
}
