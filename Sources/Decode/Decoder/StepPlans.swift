import Graph
import Kernels
import Plan
import Tensor

/// A plan for one new token per row, with the addresses that every step fills in or reads.
class StepPlan {
  let plan: Plan
  let rows: Int
  /// The states that go in, [rows, 1, width]; nil for the embedding, which takes ids.
  let input: UnsafeMutablePointer<Float>?
  let output: UnsafeMutablePointer<Float>
  /// Of the output's last axis.
  let channels: Int
  private let positional: [PositionalValues.Row]

  init(
    _ plan: Plan, rows: Int, input: ValueID?, output: ValueID, positional: PositionalValues
  ) throws(MueError) {
    self.plan = plan
    self.rows = rows
    self.input = try input.map { (value) throws(MueError) in
      try plan.operand(value).pointer.assumingMemoryBound(to: Float.self)
    }
    let operand = try plan.operand(output)
    self.output = operand.pointer.assumingMemoryBound(to: Float.self)
    channels = operand.shape.last ?? 0
    self.positional = try positional.rows(of: plan)
  }

  /// Puts in what follows from the position of the token.
  func load(position: Int) { for row in positional { row.load(position) } }
}

/// A layer, with the attentions whose keys and values lie elsewhere.
final class LayerStep: StepPlan {
  /// What the layer reads of the encoder beside cross keys and values.
  struct EncoderFeed {
    var value: ValueID
    var pointer: UnsafeMutableRawPointer
    var byteCount: Int
    /// One item per sample.
    var isBatched: Bool
  }

  /// In the order of the partition's attentions.
  let selfAttention: [AttentionBinding]
  let crossAttention: [(attention: DecoderPartition.Attention, binding: AttentionBinding)]
  let feeds: [EncoderFeed]

  init(
    _ plan: Plan, rows: Int, input: ValueID, output: ValueID, positional: PositionalValues,
    selfAttention: [AttentionBinding],
    crossAttention: [(attention: DecoderPartition.Attention, binding: AttentionBinding)], feeds: [EncoderFeed]
  ) throws(MueError) {
    self.selfAttention = selfAttention
    self.crossAttention = crossAttention
    self.feeds = feeds
    try super.init(plan, rows: rows, input: input, output: output, positional: positional)
  }

  /// Row `index` reads what its sample has for the layer.
  func bind(_ index: Int, encoder layer: CrossLayer) throws(MueError) {
    for feed in feeds where feed.isBatched || index == 0 {
      guard let source = layer.values[feed.value], source.byteCount == feed.byteCount else {
        throw MueError(.internal, "a layer without what it takes from the encoder")
      }
      (feed.pointer + index * feed.byteCount).copyMemory(from: source.pointer, byteCount: feed.byteCount)
    }
    for (slot, (attention, binding)) in crossAttention.enumerated() {
      if slot < layer.packed.count {
        binding.bind(row: index, packed: layer.packed[slot].memory.pointer)
        continue
      }
      guard let key = layer.values[attention.key], let value = layer.values[attention.value] else {
        throw MueError(.internal, "a layer without its cross keys")
      }
      binding.bind(
        row: index, keys: key.pointer.assumingMemoryBound(to: Float.self),
        values: value.pointer.assumingMemoryBound(to: Float.self))
    }
  }

  /// Row `index` appends to and reads `memory`.
  func bind(_ index: Int, _ memory: RowMemory, layer: Int) {
    for (slot, binding) in selfAttention.enumerated() {
      binding.bind(row: index, keys: memory.key(layer - 1, slot), values: memory.value(layer - 1, slot))
    }
  }

  func set(position: Int) {
    for binding in selfAttention {
      binding.position = position
      binding.length = position + 1
    }
    for (_, binding) in crossAttention { binding.position = position }
  }

  /// Multiply-adds per row, with the keys that are read now.
  var multiplyAddsPerRow: Int {
    var sum = plan.multiplyAdds / rows
    for binding in selfAttention { sum += binding.multiplyAddsPerKey * binding.length }
    for (_, binding) in crossAttention { sum += binding.multiplyAddsPerKey * binding.length }
    return sum
  }
}

/// The plans of one step for a number of rows, each made when it is first needed.
final class StepPlans {
  let rows: Int
  /// Which keeps these.
  private unowned let plans: DecoderPlans
  private var embeddingStep: StepPlan?
  private var layerSteps: [LayerStep?]
  private var logitsStep: StepPlan?
  private var hiddenStep: StepPlan?

  init(_ plans: DecoderPlans, rows: Int) {
    self.plans = plans
    self.rows = rows
    layerSteps = [LayerStep?](repeating: nil, count: plans.decoder.layers.count)
  }

  /// Ids [rows, 1] to v_0 [rows, 1, width].
  func embedding() throws(MueError) -> StepPlan {
    if let embeddingStep { return embeddingStep }
    let made = try plans.embedding(rows: rows)
    embeddingStep = made
    return made
  }

  /// Layer `layer` (from 1).
  ///
  /// - Parameter encoderInfos: what it takes from the encoder.
  func layer(_ layer: Int, encoderInfos: [ValueID: TensorInfo]) throws(MueError) -> LayerStep {
    if let known = layerSteps[layer - 1] { return known }
    let made = try plans.layer(layer, rows: rows, encoderInfos: encoderInfos)
    layerSteps[layer - 1] = made
    return made
  }

  /// v_n [rows, 1, width] to the logits [rows, 1, vocabulary].
  func logits() throws(MueError) -> StepPlan {
    if let logitsStep { return logitsStep }
    let made = try plans.head(rows: rows, output: plans.unified.roles.logits.value)
    logitsStep = made
    return made
  }

  /// v_n [rows, 1, width] to what the product with the vocabulary reads.
  func hidden(_ product: VocabularyProduct) throws(MueError) -> StepPlan {
    if let hiddenStep { return hiddenStep }
    let made = try plans.head(rows: rows, output: product.hidden)
    hiddenStep = made
    return made
  }
}
