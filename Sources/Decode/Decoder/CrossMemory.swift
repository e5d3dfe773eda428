import Graph
import Kernels
import Tensor

/// What the decoder's layers take from one encoded sample: made when a token first reaches the layer.
final class CrossMemory {
  private let sample: EncodedSample
  private var layers: [[ValueID: Tensor]?]
  /// What plans have made, by layer, and where its memory goes.
  private var made: [[ValueID]]
  private var spares: SpareMemory?
  private(set) var multiplyAdds = 0
  /// The figure of one layer; 0 before the first.
  private(set) var multiplyAddsPerLayer = 0

  init(_ sample: EncodedSample, layerCount: Int) {
    self.sample = sample
    layers = [[ValueID: Tensor]?](repeating: nil, count: layerCount)
    made = [[ValueID]](repeating: [], count: layerCount)
  }

  deinit {
    guard let spares else { return }
    for layer in layers.indices {
      for value in made[layer] {
        if let tensor = layers[layer]?.removeValue(forKey: value) { spares.keep(tensor) }
      }
    }
  }

  /// The encoder values of layer `layer` (from 1). Cross keys and values are row-major: [1, rows, heads, channels].
  func values(layer: Int, plans: CrossPlans, isCancelled: () -> Bool) throws(MueError) -> [ValueID: Tensor] {
    if let known = layers[layer - 1] { return known }
    let partition = plans.decoder.layers[layer - 1]
    var values: [ValueID: Tensor] = [:]
    for value in partition.encoderValues { values[value] = sample.bridge[value] }
    let missing = partition.encoderValues.filter { values[$0] == nil }
    if !missing.isEmpty {
      plans.trace?.begin("cross keys and values \(layer)")
      defer { plans.trace?.end() }
      let plan = try plans.plan(layer: layer, bridge: sample.bridge, outputs: missing)
      for (value, tensor) in sample.bridge { try plan.load(value, from: tensor.pointer) }
      try plan.run(isCancelled: isCancelled)
      for value in missing { values[value] = try plan.copy(of: value, from: plans.spares) }
      (made[layer - 1], spares) = (missing, plans.spares)
      multiplyAdds += plan.multiplyAdds
      multiplyAddsPerLayer = plan.multiplyAdds
    }
    layers[layer - 1] = values
    return values
  }
}
