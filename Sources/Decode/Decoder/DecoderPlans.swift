import Graph
import Kernels
import Plan
import Tensor

/// The plans of the cached decoder, by layer and number of rows, for one request shape and longest length.
final class DecoderPlans {
  /// A layer for one new token per row, with the attentions whose keys and values lie elsewhere.
  final class Layer {
    let plan: Plan
    /// In the order of the partition's attentions.
    let selfAttention: [AttentionBinding]
    let crossAttention: [AttentionBinding]

    init(plan: Plan, selfAttention: [AttentionBinding], crossAttention: [AttentionBinding]) {
      self.plan = plan
      self.selfAttention = selfAttention
      self.crossAttention = crossAttention
    }
  }

  let unified: UnifiedGraph
  let decoder: DecoderPartition
  let shape: RequestShape
  let positions: Int
  let positional: PositionalValues
  let cross: CrossPlans
  private let context: ComputeContext
  /// nil while nothing is traced.
  var trace: TraceRecorder? { context.workspace.trace }
  private let plans = PlanCache(capacity: 512)
  private var layers: [[Int]: Layer] = [:]

  init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, shape: RequestShape, positions: Int,
    context: ComputeContext
  ) throws(MueError) {
    self.unified = unified
    self.decoder = decoder
    self.shape = shape
    self.positions = positions
    self.context = context
    cross = CrossPlans(unified, decoder, shape: shape, context: context)
    positional = try PositionalValues(unified, decoder, shape: shape, positions: positions, context: context)
  }

  private func feeds(rows: Int, data: Set<ValueID> = []) -> [ValueID: Feed] {
    unified.inputFeeds(shape, samples: rows, rows: rows, data: data).merging(positional.feeds(decoder)) { $1 }
  }

  /// Ids [rows, 1] to v_0 [rows, 1, width].
  func embedding(rows: Int) throws(MueError) -> Plan {
    try plans.plan([0, rows]) { () throws(MueError) in
      try Plan(
        unified.graph, outputs: [decoder.stream.first],
        feeds: feeds(rows: rows, data: [unified.roles.decoderInputIDs.value]), context: context)
    }
  }

  /// v_n [rows, 1, width] to `output`: the logits, or the hidden state before the vocabulary.
  func head(rows: Int, output: ValueID, width: Int) throws(MueError) -> Plan {
    try plans.plan([1, rows, output]) { () throws(MueError) in
      var feeds = feeds(rows: rows)
      feeds[decoder.stream.last] = .buffer(.float32, [rows, 1, width])
      return try Plan(unified.graph, outputs: [output], feeds: feeds, context: context)
    }
  }

  /// States [1, count, width] to the keys and values that layer `layer` (from 1) caches for them.
  func propagation(layer: Int, count: Int, width: Int) throws(MueError) -> Plan {
    try plans.plan([3, layer, count]) { () throws(MueError) in
      var feeds = unified.inputFeeds(shape, positions: count)
      feeds[decoder.stream.states[layer - 1]] = .buffer(.float32, [1, count, width])
      let outputs = decoder.layers[layer - 1].selfAttention.flatMap { [$0.key, $0.value] }
      return try Plan(unified.graph, outputs: outputs, feeds: feeds, context: context)
    }
  }

  /// Layer `layer` (from 1) for one new token in each of `rows` rows.
  ///
  /// - Parameter encoderValues: the values it takes from the encoder, of any sample of this shape.
  func layer(_ layer: Int, rows: Int, width: Int, encoderValues: [ValueID: Tensor]) throws(MueError) -> Layer {
    if let known = layers[[layer, rows]] { return known }
    let partition = decoder.layers[layer - 1]
    var feeds = feeds(rows: rows)
    feeds[decoder.stream.states[layer - 1]] = .buffer(.float32, [rows, 1, width])
    for (value, tensor) in encoderValues {
      var shape = tensor.shape
      if isBatched(value) { shape[0] = rows }
      feeds[value] = partition.crossKeyValues.contains(value) ? .shape(tensor.type, shape) : .buffer(tensor.type, shape)
    }
    let own = partition.selfAttention.map { _ in AttentionBinding(rows: rows) }
    let cross = partition.crossAttention.map { _ in AttentionBinding(rows: rows) }
    var overrides: [Int: Plan.Override] = [:]
    for (attention, binding) in zip(partition.selfAttention, own) {
      binding.capacity = positions
      bindBiases(attention, binding)
      overrides[attention.node] = binding.cachedStep
    }
    for (attention, binding) in zip(partition.crossAttention, cross) {
      guard let keys = encoderValues[attention.key], partition.crossKeyValues.contains(attention.key),
        partition.crossKeyValues.contains(attention.value)
      else { throw MueError(.unsupported, "cross-attention keys are used elsewhere too") }
      let layout = try AttentionLayout(unified.graph.nodes[attention.node].attributes, "k_layout")
      binding.capacity = try layout.sizes(keys.shape).rows
      binding.length = binding.capacity
      bindBiases(attention, binding)
      overrides[attention.node] = binding.encoderStep
    }
    let plan = try Plan(
      unified.graph, outputs: [decoder.stream.states[layer]], feeds: feeds, overrides: overrides, context: context)
    for (attention, binding) in zip(partition.selfAttention + partition.crossAttention, own + cross) {
      plan.overrideCosts[attention.node] = { [unowned binding] in binding.multiplyAdds }
    }
    let made = Layer(plan: plan, selfAttention: own, crossAttention: cross)
    // Row counts come and go with exits and beams; what is in use now is made again at once.
    if layers.count >= 16 * decoder.layers.count { layers.removeAll() }
    layers[[layer, rows]] = made
    return made
  }

  /// True when the value has one item per sample on its first axis.
  func isBatched(_ value: ValueID) -> Bool {
    unified.shapes.axes(of: value, dependingOn: UnifiedGraph.Symbol.batch).first == 0
  }

  private func bindBiases(_ attention: DecoderPartition.Attention, _ binding: AttentionBinding) {
    for (slot, input) in unified.graph.nodes[attention.node].inputs.enumerated() where slot >= 3 {
      if let input, decoder.positionalBiases.contains(input) {
        binding.positionalBiases[slot] = positional.tensor(input)
      }
    }
  }
}
