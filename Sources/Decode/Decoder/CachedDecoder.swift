import Exit
import Graph
import Plan
import Tensor

/// Decodes one token at a time for a group of rows that share the sizes of their inputs: each row stops at its own
/// layer, keys and values of skipped layers are filled in from the exit state when a later token needs them.
///
/// A step allocates nothing once plans for its numbers of rows are made.
///
/// Source: mue.md, "Decoder" and "Keys and values of skipped layers".
final class CachedDecoder: TokenDecoder {
  let plans: DecoderPlans
  /// For what comes before the first step.
  let prefixRunner: PrefixRunner
  let crosses: [CrossMemory]
  /// The sample of each row.
  private(set) var sampleOfRow: [Int]
  var width: Int { plans.width }
  var layerCount: Int { plans.decoder.layers.count }
  private let pool: RowMemoryPool
  private(set) var memories: [RowMemory]
  var position = 0
  var prefixCosts: [RowCost]
  private let made: DecodedStep
  /// The states of the active rows between two layers, [rows, width].
  private var states: Buffer
  /// Rows that have not left yet.
  private var active: [Int] = []
  /// Tokens whose keys and values a layer lacks.
  private var pending: [(row: Int, position: Int)] = []
  /// Multiply-adds per row of the first layer at this step.
  private var firstLayerCost = 0
  /// What `reorder` needs to put rows in their new places.
  private var moved: (memories: [RowMemory], samples: [Int], isTaken: [Bool]) = ([], [], [])

  /// One row per sample.
  ///
  /// - Parameter capacity: most tokens that a row will read, at most the plans' positions.
  convenience init(
    _ plans: DecoderPlans, _ prefixRunner: PrefixRunner, samples: [EncodedSample], capacity: Int
  ) throws(MueError) {
    let layout = try CacheLayout(
      plans.unified, plans.decoder, width: plans.width, positions: min(capacity, plans.positions))
    let pool = RowMemoryPool(layout, plans.context.workspace.spares)
    try self.init(
      plans, prefixRunner, crosses: samples.map { CrossMemory($0, layerCount: plans.decoder.layers.count) },
      sampleOfRow: Array(samples.indices), pool: pool)
  }

  private init(
    _ plans: DecoderPlans, _ prefixRunner: PrefixRunner, crosses: [CrossMemory], sampleOfRow: [Int],
    pool: RowMemoryPool
  ) throws(MueError) {
    self.plans = plans
    self.prefixRunner = prefixRunner
    self.crosses = crosses
    self.sampleOfRow = sampleOfRow
    self.pool = pool
    made = DecodedStep(pool: plans.context.pool)
    memories = []
    for _ in sampleOfRow { memories.append(try pool.take()) }
    prefixCosts = [RowCost](repeating: RowCost(), count: sampleOfRow.count)
    states = try Buffer(byteCount: Shape.byteCount([sampleOfRow.count, plans.width], .float32))
    active.reserveCapacity(rows)
    pending.reserveCapacity(min(rows * pool.layout.positions, 1 << 12))
  }

  deinit { for memory in memories { pool.give(memory) } }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) {
    (crosses[sample].multiplyAdds, crosses[sample].multiplyAddsPerLayer * layerCount)
  }

  /// One more token for every row, at `position`.
  func step(
    tokens: [Int], threshold: Double, options: RunOptions, logits wanted: WantedLogits
  ) throws(MueError) -> DecodedStep {
    guard position < pool.layout.positions else { throw MueError(.internal, "the cache is full") }
    let watch = Stopwatch()
    plans.trace?.begin("decoder step \(position)")
    defer { plans.trace?.end() }
    made.begin(rows: rows, recordsSimilarities: options.recordsSimilarities)
    let steps = plans.steps(rows: rows)
    plans.trace?.begin("embedding")
    let embedding = try steps.embedding()
    try embedding.plan.load(ids: tokens, into: plans.unified.roles.decoderInputIDs.value)
    embedding.load(position: position)
    try embedding.plan.run(isCancelled: options.isCancelled)
    plans.trace?.end()
    charge(embedding.plan.multiplyAdds)
    try runLayers(embedding.output, threshold, options)
    position += 1
    made.layersMilliseconds = watch.milliseconds

    let headWatch = Stopwatch()
    try head(steps, wanted, options)
    made.headMilliseconds = headWatch.milliseconds
    return made
  }

  /// The logits of the newest tokens: of the candidates alone where they are few, else of the whole vocabulary.
  private func head(_ steps: StepPlans, _ wanted: WantedLogits, _ options: RunOptions) throws(MueError) {
    plans.trace?.begin("head")
    defer { plans.trace?.end() }
    let vocabulary = plans.vocabulary
    let few = wanted.candidates.flatMap { vocabulary.areFew($0) ? $0 : nil }
    let head: StepPlan
    if let product = plans.decoder.vocabulary, few != nil || vocabulary.screen != nil {
      head = try steps.hidden(product)
    } else {
      head = try steps.logits()
    }
    guard let input = head.input else { throw MueError(.internal, "a head without states") }
    head.load(position: position - 1)
    for row in 0..<rows { (input + row * width).update(from: memories[row].state(position - 1), count: width) }
    try head.plan.run(isCancelled: options.isCancelled)
    charge(head.plan.multiplyAdds)
    if let few {
      try computeFew(few, head)
    } else if let screen = vocabulary.screen {
      try screenAll(screen, head, wanted)
    } else {
      made.logits = UnsafePointer(head.output)
      made.vocabulary = head.channels
    }
  }

  private func computeFew(_ candidates: [[Int]], _ hidden: StepPlan) throws(MueError) {
    let channels = hidden.channels
    made.hasCandidatesOnly = true
    for row in 0..<rows {
      try plans.vocabulary.logits(
        hidden.output + row * channels, width: channels, candidates: candidates[row], into: &made.candidates[row])
      let cost = plans.vocabulary.multiplyAdds(positions: 1, candidates: candidates[row].count)
      made.costs[row].run += cost
      made.costs[row].full += cost
    }
  }

  private func screenAll(_ screen: VocabularyScreen, _ hidden: StepPlan, _ wanted: WantedLogits) throws(MueError) {
    guard hidden.channels == screen.width else {
      throw MueError(.internal, "the vocabulary does not fit the states")
    }
    let screened: ScreenedLogits
    if let known = made.screened {
      screened = known
    } else {
      screened = ScreenedLogits(screen, plans.context)
      made.screened = screened
    }
    made.vocabulary = screen.count
    var leading: LeadingTokens?
    if case .leading(let tokens) = wanted, screen.suffices(for: tokens) { leading = tokens }
    try screened.begin(UnsafePointer(hidden.output), rows: rows, wanted: leading)
    charge(screen.width * screen.count * rows)
  }

  /// - Parameter first: the states before the first layer, [rows, width].
  private func runLayers(
    _ first: UnsafePointer<Float>, _ threshold: Double, _ options: RunOptions
  ) throws(MueError) {
    let states = states.base.assumingMemoryBound(to: Float.self)
    states.update(from: first, count: rows * width)
    active.removeAll(keepingCapacity: true)
    for row in 0..<rows { active.append(row) }
    let needsSimilarity = threshold < 1 || options.recordsSimilarities
    for layer in 1...layerCount {
      let step = try run(layer, states, options)
      guard let before = step.input else { throw MueError(.internal, "a layer without states") }
      let after = step.output
      var decision = 0.0
      if needsSimilarity, options.rule == .joint {
        decision = StateSimilarity.between(before, after, count: active.count * width)
      }
      var remaining = 0
      for index in active.indices {
        let row = active[index]
        if needsSimilarity, options.rule != .joint {
          decision = StateSimilarity.between(before + index * width, after + index * width, count: width)
        }
        if options.recordsSimilarities { made.similarities?[row].append(decision) }
        let leaves = layer == layerCount || (threshold < 1 && decision > threshold)
        if leaves {
          memories[row].state(position).update(from: after + index * width, count: width)
          made.exits[row] = layer
        } else {
          (states + remaining * width).update(from: after + index * width, count: width)
          active[remaining] = row
          remaining += 1
        }
      }
      active.removeLast(active.count - remaining)
      if active.isEmpty { break }
    }
    chargeSkippedLayers()
  }

  /// Runs one layer for the active rows on their states [active, width].
  private func run(
    _ layer: Int, _ states: UnsafePointer<Float>, _ options: RunOptions
  ) throws(MueError) -> LayerStep {
    plans.trace?.begin("decoder layer \(layer)")
    defer { plans.trace?.end() }
    try propagate(layer, options)
    // What is not there yet is made by plans that share this one's memory, so first of all.
    for row in active { _ = try encoderValues(row, layer, options) }
    let step = try plans.steps(rows: active.count).layer(
      layer, encoderInfos: encoderValues(active[0], layer, options).infos)
    guard let input = step.input else { throw MueError(.internal, "a layer without states") }
    for (index, row) in active.enumerated() {
      try step.bind(index, encoder: encoderValues(row, layer, options))
      step.bind(index, memories[row], layer: layer)
    }
    step.set(position: position)
    step.load(position: position)
    input.update(from: states, count: active.count * width)
    try step.plan.run(isCancelled: options.isCancelled)
    for row in active { memories[row].filled[layer - 1] = position + 1 }
    chargeLayer(layer, step)
    return step
  }

  private func encoderValues(_ row: Int, _ layer: Int, _ options: RunOptions) throws(MueError) -> CrossLayer {
    try crosses[sampleOfRow[row]].stepValues(layer: layer, plans: plans.cross, isCancelled: options.isCancelled)
  }

  /// Keys and values, in `layer`, of earlier tokens that left before it: the layer's own projections of their exit
  /// states, all pending tokens of all active rows in one product.
  private func propagate(_ layer: Int, _ options: RunOptions) throws(MueError) {
    pending.removeAll(keepingCapacity: true)
    for row in active {
      for earlier in memories[row].filled[layer - 1]..<max(position, memories[row].filled[layer - 1]) {
        pending.append((row, earlier))
      }
    }
    guard !pending.isEmpty else { return }
    plans.trace?.begin("keys and values of skipped layers")
    defer { plans.trace?.end() }
    let step = try plans.propagation(layer: layer, atLeast: pending.count)
    step.input.update(repeating: 0, count: step.count * width)
    for (index, token) in pending.enumerated() {
      (step.input + index * width).update(from: memories[token.row].state(token.position), count: width)
    }
    try step.plan.run(isCancelled: options.isCancelled)
    for (index, token) in pending.enumerated() {
      try step.store(index, layer: layer, in: memories[token.row], position: token.position)
      made.costs[token.row].run += step.multiplyAddsPerToken
    }
    for row in active { memories[row].filled[layer - 1] = position }
  }

  func reorder(parents: [Int]) throws(MueError) {
    if parents.count == rows, parents.indices.allSatisfy({ parents[$0] == $0 }) { return }
    plans.trace?.begin("reorder")
    defer { plans.trace?.end() }
    moved.memories.removeAll(keepingCapacity: true)
    moved.samples.removeAll(keepingCapacity: true)
    moved.isTaken.resize(to: rows, with: false)
    // The first child of a row goes on in its memory. Rows without children are what further children copy into.
    for parent in parents { moved.isTaken[parent] = true }
    for row in 0..<rows where !moved.isTaken[row] { pool.give(memories[row]) }
    for row in 0..<rows { moved.isTaken[row] = false }
    for parent in parents {
      moved.samples.append(sampleOfRow[parent])
      if moved.isTaken[parent] {
        let memory = try pool.take()
        memory.copy(memories[parent], count: position)
        moved.memories.append(memory)
      } else {
        moved.isTaken[parent] = true
        moved.memories.append(memories[parent])
      }
    }
    swap(&memories, &moved.memories)
    swap(&sampleOfRow, &moved.samples)
    moved.memories.removeAll(keepingCapacity: true)
    let bytes = try Shape.byteCount([rows, width], .float32)
    if states.byteCount < bytes { states = try Buffer(byteCount: bytes) }
  }

  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder {
    let copy = try CachedDecoder(
      plans, prefixRunner, crosses: crosses, sampleOfRow: parents.map { sampleOfRow[$0] }, pool: pool)
    for (row, parent) in parents.enumerated() { copy.memories[row].copy(memories[parent], count: position) }
    copy.position = position
    return copy
  }
}

extension CachedDecoder {
  private func charge(_ multiplyAdds: Int) {
    for row in 0..<rows {
      made.costs[row].run += multiplyAdds / rows
      made.costs[row].full += multiplyAdds / rows
    }
  }

  private func chargeLayer(_ layer: Int, _ step: LayerStep) {
    let perRow = step.multiplyAddsPerRow
    if layer == 1 { firstLayerCost = perRow }
    for row in active {
      made.costs[row].run += perRow
      made.costs[row].full += perRow
    }
  }

  /// What the layers that a token skipped would have cost: layers are alike, so the first speaks for the others.
  private func chargeSkippedLayers() {
    for row in 0..<rows where made.exits[row] < layerCount {
      made.costs[row].full += firstLayerCost * (layerCount - made.exits[row])
    }
  }
}
