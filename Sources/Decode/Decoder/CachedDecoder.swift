import Exit
import Graph
import Plan
import Tensor

/// Decodes one token at a time for a group of rows that share the sizes of their inputs: each row stops at its own
/// layer, keys and values of skipped layers are filled in from the exit state when a later token needs them.
///
/// Source: mue.md, "Decoder" and "Keys and values of skipped layers".
final class CachedDecoder: TokenDecoder {
  let plans: DecoderPlans
  /// For what comes before the first step.
  let prefixRunner: PrefixRunner
  let crosses: [CrossMemory]
  /// The sample of each row.
  private(set) var sampleOfRow: [Int]
  let width: Int
  let layerCount: Int
  /// Tokens that there is room for.
  private let capacity: Int
  /// [layer][self-attention of the layer]
  private var caches: [[KeyValueCache?]]
  /// [layer][row]: positions whose keys and values are in the cache.
  var filled: [[Int]]
  /// The state that each token left the layers with, [rows, positions, width].
  private var exitStates: Tensor
  var position = 0
  /// Multiply-adds per row of the first layer at this step.
  private var firstLayerCost = 0
  var costs: [RowCost]

  /// One row per sample.
  ///
  /// - Parameter capacity: most tokens that a row will read, at most the plans' positions.
  convenience init(
    _ plans: DecoderPlans, _ prefixRunner: PrefixRunner, samples: [EncodedSample], capacity: Int
  ) throws(MueError) {
    let crosses = samples.map { CrossMemory($0, layerCount: plans.decoder.layers.count) }
    try self.init(
      plans, prefixRunner, crosses: crosses, sampleOfRow: Array(samples.indices), capacity: capacity)
  }

  private init(
    _ plans: DecoderPlans, _ prefixRunner: PrefixRunner, crosses: [CrossMemory], sampleOfRow: [Int], capacity: Int
  ) throws(MueError) {
    self.plans = plans
    self.prefixRunner = prefixRunner
    self.crosses = crosses
    self.sampleOfRow = sampleOfRow
    self.capacity = min(capacity, plans.positions)
    layerCount = plans.decoder.layers.count
    guard let width = plans.unified.shapes.entries[plans.decoder.stream.first]?.shape.last?.base else {
      throw MueError(.internal, "the decoder's width is not known")
    }
    self.width = width
    caches = plans.decoder.layers.map { [KeyValueCache?](repeating: nil, count: $0.selfAttention.count) }
    filled = [[Int]](repeating: [Int](repeating: 0, count: sampleOfRow.count), count: plans.decoder.layers.count)
    exitStates = try Tensor(.float32, [sampleOfRow.count, self.capacity, width])
    costs = [RowCost](repeating: RowCost(), count: sampleOfRow.count)
  }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) {
    (crosses[sample].multiplyAdds, crosses[sample].multiplyAddsPerLayer * layerCount)
  }

  /// One more token for every row, at `position`.
  func step(
    tokens: [Int], threshold: Double, options: RunOptions, candidates: [[Int]]?
  ) throws(MueError) -> DecodedStep {
    guard position < capacity else { throw MueError(.internal, "the cache is full") }
    let watch = Stopwatch()
    plans.trace?.begin("decoder step \(position)")
    defer { plans.trace?.end() }
    plans.trace?.begin("embedding")
    let embedding = try plans.embedding(rows: rows)
    try embedding.load(ids: tokens, into: plans.unified.roles.decoderInputIDs.value)
    try plans.positional.load(position, into: embedding)
    try embedding.run(isCancelled: options.isCancelled)
    plans.trace?.end()
    charge(embedding.multiplyAdds, to: Array(0..<rows), full: true)
    var result = DecodedStep(exits: [Int](repeating: 0, count: rows))
    if options.recordsSimilarities { result.similarities = [[Double]](repeating: [], count: rows) }
    try runLayers(embedding, threshold, options, &result)
    position += 1
    result.layersMilliseconds = watch.milliseconds

    let headWatch = Stopwatch()
    try head(candidates, options, &result)
    result.headMilliseconds = headWatch.milliseconds
    return result
  }

  /// The logits of the newest tokens: of the candidates alone where they are few, else of the whole vocabulary.
  private func head(_ candidates: [[Int]]?, _ options: RunOptions, _ result: inout DecodedStep) throws(MueError) {
    plans.trace?.begin("head")
    defer { plans.trace?.end() }
    let vocabulary = VocabularyRows(plans.unified, plans.decoder)
    let few = candidates.flatMap { vocabulary.areFew($0) ? $0 : nil }
    let output = few.flatMap { _ in plans.decoder.vocabulary?.hidden } ?? plans.unified.roles.logits.value
    let head = try plans.head(rows: rows, output: output, width: width)
    try plans.positional.load(position - 1, into: head)
    let target = try floats(head, plans.decoder.stream.last)
    for row in 0..<rows { (target + row * width).update(from: exitState(row, position - 1), count: width) }
    try head.run(isCancelled: options.isCancelled)
    charge(head.multiplyAdds, to: Array(0..<rows), full: true)
    let found = UnsafePointer(try floats(head, output))
    guard let few else {
      result.logits = found
      result.vocabulary = try head.operand(output).shape.last ?? 0
      return
    }
    let channels = try head.operand(output).shape.last ?? 0
    var logits: [[Float]] = []
    for row in 0..<rows {
      logits.append(try vocabulary.logits(found + row * channels, width: channels, candidates: few[row]))
      charge(vocabulary.multiplyAdds(positions: 1, candidates: few[row].count), to: [row], full: true)
    }
    result.candidates = logits
  }

  private func runLayers(
    _ embedding: Plan, _ threshold: Double, _ options: RunOptions, _ result: inout DecodedStep
  ) throws(MueError) {
    var active = Array(0..<rows)
    var states = [Float](repeating: 0, count: rows * width)
    let first = try floats(embedding, plans.decoder.stream.first)
    for index in 0..<rows * width { states[index] = first[index] }
    let needsSimilarity = threshold < 1 || options.recordsSimilarities
    var decisions = [Double](repeating: 0, count: rows)
    for layer in 1...layerCount {
      let plan = try run(layer, active: active, states: states, options)
      let before = UnsafePointer(try floats(plan, plans.decoder.stream.states[layer - 1]))
      let after = UnsafePointer(try floats(plan, plans.decoder.stream.states[layer]))
      if needsSimilarity {
        if options.rule == .joint {
          let similarity = StateSimilarity.between(before, after, count: active.count * width)
          for index in active.indices { decisions[index] = similarity }
        } else {
          for index in active.indices {
            decisions[index] = StateSimilarity.between(before + index * width, after + index * width, count: width)
          }
        }
      }
      var remaining: [Int] = []
      for (index, row) in active.enumerated() {
        if options.recordsSimilarities { result.similarities?[row].append(decisions[index]) }
        let leaves = layer == layerCount || (threshold < 1 && decisions[index] > threshold)
        if leaves {
          exitState(row, position).update(from: after + index * width, count: width)
          result.exits[row] = layer
        } else {
          for channel in 0..<width { states[remaining.count * width + channel] = after[index * width + channel] }
          remaining.append(row)
        }
      }
      active = remaining
      if active.isEmpty { break }
    }
    chargeSkippedLayers(result.exits)
  }

  /// Runs one layer for the active rows on their states [active, width].
  private func run(
    _ layer: Int, active: [Int], states: [Float], _ options: RunOptions
  ) throws(MueError) -> Plan {
    plans.trace?.begin("decoder layer \(layer)")
    defer { plans.trace?.end() }
    try prepareCaches(layer)
    try propagate(layer, active, options)
    var encoderValues: [[ValueID: Tensor]] = []
    for row in active {
      encoderValues.append(
        try crosses[sampleOfRow[row]].values(layer: layer, plans: plans.cross, isCancelled: options.isCancelled))
    }
    guard let sampleValues = encoderValues.first else { throw MueError(.internal, "a layer without rows") }
    let made = try plans.layer(layer, rows: active.count, width: width, encoderValues: sampleValues)
    let partition = plans.decoder.layers[layer - 1]
    for (value, tensor) in sampleValues where !partition.crossKeyValues.contains(value) {
      let target = try made.plan.operand(value)
      let isBatched = plans.isBatched(value)
      for index in 0..<(isBatched ? active.count : 1) {
        guard let source = encoderValues[index][value] else { continue }
        (target.pointer + index * tensor.byteCount).copyMemory(from: source.pointer, byteCount: tensor.byteCount)
      }
    }
    for (slot, binding) in made.selfAttention.enumerated() {
      guard let cache = caches[layer - 1][slot] else { throw MueError(.internal, "a layer without a cache") }
      binding.position = position
      binding.length = position + 1
      for (index, row) in active.enumerated() {
        binding.bind(row: index, keys: cache.key(row: row), values: cache.value(row: row))
      }
    }
    for (attention, binding) in zip(partition.crossAttention, made.crossAttention) {
      binding.position = position
      for index in active.indices {
        guard let key = encoderValues[index][attention.key], let value = encoderValues[index][attention.value] else {
          throw MueError(.internal, "a layer without its cross keys")
        }
        binding.bind(
          row: index, keys: key.pointer.assumingMemoryBound(to: Float.self),
          values: value.pointer.assumingMemoryBound(to: Float.self))
      }
    }
    try plans.positional.load(position, into: made.plan)
    try made.plan.load(plans.decoder.stream.states[layer - 1], from: states)
    try made.plan.run(isCancelled: options.isCancelled)
    for row in active { filled[layer - 1][row] = position + 1 }
    chargeLayer(layer, made, active)
    return made.plan
  }

  /// Keys and values, in `layer`, of earlier tokens that left before it: the layer's own projections of their exit
  /// states, all pending tokens of all active rows in one product.
  private func propagate(_ layer: Int, _ active: [Int], _ options: RunOptions) throws(MueError) {
    var pending: [(row: Int, position: Int)] = []
    for row in active {
      for earlier in filled[layer - 1][row]..<max(position, filled[layer - 1][row]) { pending.append((row, earlier)) }
    }
    guard !pending.isEmpty else { return }
    plans.trace?.begin("keys and values of skipped layers")
    defer { plans.trace?.end() }
    var states: [Float] = []
    states.reserveCapacity(pending.count * width)
    for token in pending {
      states.append(contentsOf: UnsafeBufferPointer(start: exitState(token.row, token.position), count: width))
    }
    let cost = try store(states, layer, pending, options)
    for token in pending { costs[token.row].run += cost }
    for row in active { filled[layer - 1][row] = position }
  }

  /// Puts the keys and values that `layer` makes of states [tokens, width] into the cache; returns the multiply-adds per
  /// token.
  func store(
    _ states: UnsafePointer<Float>, _ layer: Int, _ tokens: [(row: Int, position: Int)], _ options: RunOptions
  ) throws(MueError) -> Int {
    // Few distinct sizes, so that few plans serve all counts; the rows beyond `tokens` are not read.
    var count = 1
    while count < tokens.count { count *= 2 }
    let plan = try plans.propagation(layer: layer, count: count, width: width)
    let source = try floats(plan, plans.decoder.stream.states[layer - 1])
    source.update(repeating: 0, count: count * width)
    source.update(from: states, count: tokens.count * width)
    try plan.run(isCancelled: options.isCancelled)
    for (slot, attention) in plans.decoder.layers[layer - 1].selfAttention.enumerated() {
      guard let cache = caches[layer - 1][slot] else { continue }
      let attributes = plans.unified.graph.nodes[attention.node].attributes
      let keyLayout = try AttentionLayout(attributes, "k_layout")
      let valueLayout = try AttentionLayout(attributes, "v_layout")
      let keys = try plan.operand(attention.key)
      let values = try plan.operand(attention.value)
      for (index, token) in tokens.enumerated() {
        try keyLayout.copyRows(
          UnsafePointer(keys.pointer.assumingMemoryBound(to: Float.self)), keys.shape, index..<index + 1,
          to: cache.key(row: token.row, position: token.position))
        try valueLayout.copyRows(
          UnsafePointer(values.pointer.assumingMemoryBound(to: Float.self)), values.shape, index..<index + 1,
          to: cache.value(row: token.row, position: token.position))
      }
    }
    return plan.multiplyAdds / count
  }

  func prepareCaches(_ layer: Int) throws(MueError) {
    for (slot, attention) in plans.decoder.layers[layer - 1].selfAttention.enumerated()
    where caches[layer - 1][slot] == nil {
      let attributes = plans.unified.graph.nodes[attention.node].attributes
      func width(_ value: ValueID, _ name: String) throws(MueError) -> Int {
        let shape = plans.unified.shapes.entries[value]?.shape.map(\.base) ?? []
        let (_, heads, channels) = try AttentionLayout(attributes, name).sizes(shape)
        return heads * channels
      }
      caches[layer - 1][slot] = try KeyValueCache(
        rows: rows, positions: capacity, keyWidth: width(attention.key, "k_layout"),
        valueWidth: width(attention.value, "v_layout"))
    }
  }

  func reorder(parents: [Int]) throws(MueError) {
    guard parents != Array(0..<rows) else { return }
    plans.trace?.begin("reorder")
    defer { plans.trace?.end() }
    let moved = try copy(parents: parents)
    caches = moved.caches
    filled = moved.filled
    exitStates = moved.exitStates
    sampleOfRow = moved.sampleOfRow
    costs = parents.map { costs[$0] }
  }

  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder { try copy(parents: parents) }

  private func copy(parents: [Int]) throws(MueError) -> CachedDecoder {
    let copy = try CachedDecoder(
      plans, prefixRunner, crosses: crosses, sampleOfRow: parents.map { sampleOfRow[$0] }, capacity: capacity)
    for layer in 0..<layerCount {
      for slot in caches[layer].indices {
        copy.caches[layer][slot] = try caches[layer][slot]?.reordered(parents: parents, count: position)
      }
      copy.filled[layer] = parents.map { filled[layer][$0] }
    }
    for (row, parent) in parents.enumerated() {
      copy.exitState(row, 0).update(from: exitState(parent, 0), count: position * width)
    }
    copy.position = position
    return copy
  }

  func exitState(_ row: Int, _ position: Int) -> UnsafeMutablePointer<Float> {
    exitStates.pointer.assumingMemoryBound(to: Float.self) + (row * capacity + position) * width
  }

  private func floats(_ plan: Plan, _ value: ValueID) throws(MueError) -> UnsafeMutablePointer<Float> {
    try plan.operand(value).pointer.assumingMemoryBound(to: Float.self)
  }
}

extension CachedDecoder {
  private func charge(_ multiplyAdds: Int, to rows: [Int], full: Bool) {
    for row in rows {
      costs[row].run += multiplyAdds / rows.count
      if full { costs[row].full += multiplyAdds / rows.count }
    }
  }

  private func chargeLayer(_ layer: Int, _ made: DecoderPlans.Layer, _ active: [Int]) {
    var perRow = made.plan.multiplyAdds / active.count
    for binding in made.selfAttention + made.crossAttention { perRow += binding.multiplyAddsPerKey * binding.length }
    if layer == 1 { firstLayerCost = perRow }
    for row in active {
      costs[row].run += perRow
      costs[row].full += perRow
    }
  }

  /// What the layers that a token skipped would have cost: layers are alike, so the first speaks for the others.
  private func chargeSkippedLayers(_ exits: [Int]) {
    for (row, exit) in exits.enumerated() where exit < layerCount {
      costs[row].full += firstLayerCost * (layerCount - exit)
    }
  }
}
