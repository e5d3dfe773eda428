import Graph
import Kernels
import Plan
import Tensor

/// The plans of the cached decoder, by number of rows, for one request shape and longest length.
final class DecoderPlans {
  let unified: UnifiedGraph
  let decoder: DecoderPartition
  let shape: RequestShape
  let positions: Int
  let positional: PositionalValues
  let cross: CrossPlans
  let context: ComputeContext
  /// nil while nothing is traced.
  var trace: TraceRecorder? { context.workspace.trace }
  let width: Int
  let vocabulary: VocabularyRows
  private var steps: [Int: StepPlans] = [:]
  private var propagations: [PropagationSize: PropagationStep] = [:]

  private struct PropagationSize: Hashable {
    var layer: Int
    var count: Int
  }

  init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, shape: RequestShape, positions: Int,
    context: ComputeContext
  ) throws(MueError) {
    self.unified = unified
    self.decoder = decoder
    self.shape = shape
    self.positions = positions
    self.context = context
    guard let width = unified.shapes.entries[decoder.stream.first]?.shape.last?.base else {
      throw MueError(.internal, "the decoder's width is not known")
    }
    self.width = width
    vocabulary = try VocabularyRows(unified, decoder, context)
    cross = CrossPlans(unified, decoder, shape: shape, context: context)
    positional = try PositionalValues(unified, decoder, shape: shape, positions: positions, context: context)
  }

  private func feeds(rows: Int, data: Set<ValueID> = []) -> [ValueID: Feed] {
    unified.inputFeeds(shape, samples: rows, rows: rows, data: data).merging(positional.feeds(decoder)) { $1 }
  }

  /// The plans of one step of `rows` rows.
  func steps(rows: Int) -> StepPlans {
    if let known = steps[rows] { return known }
    // Row counts come and go with exits and beams; what is in use now is made again at once.
    if steps.count >= 32 { steps.removeAll() }
    let made = StepPlans(self, rows: rows)
    steps[rows] = made
    return made
  }

  func embedding(rows: Int) throws(MueError) -> StepPlan {
    let ids = unified.roles.decoderInputIDs.value
    let plan = try Plan(
      unified.graph, outputs: [decoder.stream.first], feeds: feeds(rows: rows, data: [ids]), context: context)
    return try StepPlan(plan, rows: rows, input: nil, output: decoder.stream.first, positional: positional)
  }

  /// - Parameter output: the logits, or the hidden state before the vocabulary.
  func head(rows: Int, output: ValueID) throws(MueError) -> StepPlan {
    var feeds = feeds(rows: rows)
    feeds[decoder.stream.last] = .buffer(.float32, [rows, 1, width])
    let plan = try Plan(unified.graph, outputs: [output], feeds: feeds, context: context)
    return try StepPlan(plan, rows: rows, input: decoder.stream.last, output: output, positional: positional)
  }

  /// The keys and values that layer `layer` (from 1) caches of at least `count` states; what lies beyond those that
  /// were put in is not read.
  func propagation(layer: Int, atLeast wanted: Int) throws(MueError) -> PropagationStep {
    // Few distinct sizes, so that few plans serve all counts.
    var count = 1
    while count < wanted { count *= 2 }
    let size = PropagationSize(layer: layer, count: count)
    if let known = propagations[size] { return known }
    let input = decoder.stream.states[layer - 1]
    var feeds = unified.inputFeeds(shape, positions: count)
    feeds[input] = .buffer(.float32, [1, count, width])
    let partition = decoder.layers[layer - 1]
    let plan = try Plan(
      unified.graph, outputs: partition.selfAttention.flatMap { [$0.key, $0.value] }, feeds: feeds, context: context)
    let made = try PropagationStep(plan, partition, graph: unified.graph, input: input, count: count, width: width)
    propagations[size] = made
    return made
  }

  /// Layer `layer` (from 1) for one new token in each of `rows` rows.
  ///
  /// - Parameter encoderInfos: what it takes from the encoder.
  func layer(_ layer: Int, rows: Int, encoderInfos: [ValueID: TensorInfo]) throws(MueError) -> LayerStep {
    let partition = decoder.layers[layer - 1]
    var feeds = feeds(rows: rows)
    feeds[decoder.stream.states[layer - 1]] = .buffer(.float32, [rows, 1, width])
    for (value, info) in encoderInfos {
      var shape = info.shape
      if isBatched(value) { shape[0] = rows }
      feeds[value] = partition.crossKeyValues.contains(value) ? .shape(info.type, shape) : .buffer(info.type, shape)
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
      guard let keys = encoderInfos[attention.key], partition.crossKeyValues.contains(attention.key),
        partition.crossKeyValues.contains(attention.value)
      else { throw MueError(.unsupported, "cross-attention keys are used elsewhere too") }
      let layout = try AttentionLayout(unified.graph.nodes[attention.node].attributes, "k_layout")
      binding.capacity = try layout.sizes(keys.shape).rows
      binding.length = binding.capacity
      bindBiases(attention, binding)
      overrides[attention.node] = binding.encoderStep
    }
    let (input, output) = (decoder.stream.states[layer - 1], decoder.stream.states[layer])
    let plan = try Plan(unified.graph, outputs: [output], feeds: feeds, overrides: overrides, context: context)
    for (attention, binding) in zip(partition.selfAttention + partition.crossAttention, own + cross) {
      plan.overrideCosts[attention.node] = { [unowned binding] in binding.multiplyAdds }
    }
    var encoderFeeds: [LayerStep.EncoderFeed] = []
    for (value, info) in encoderInfos where !partition.crossKeyValues.contains(value) {
      encoderFeeds.append(
        .init(
          value: value, pointer: try plan.operand(value).pointer,
          byteCount: try Shape.byteCount(info.shape, info.type),
          isBatched: isBatched(value)))
    }
    return try LayerStep(
      plan, rows: rows, input: input, output: output, positional: positional, selfAttention: own,
      crossAttention: zip(partition.crossAttention, cross).map { ($0, $1) }, feeds: encoderFeeds)
  }

  /// True when the value has one item per sample on its first axis.
  private func isBatched(_ value: ValueID) -> Bool {
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
