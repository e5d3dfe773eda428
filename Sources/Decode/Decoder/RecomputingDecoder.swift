import Exit
import Graph
import Tensor

/// Decodes by running the whole prefix again for every token: for graphs whose decoder cannot run one token at a time.
///
/// The newest position decides where its token leaves; earlier positions run as deep as it does.
final class RecomputingDecoder: TokenDecoder {
  private let unified: UnifiedGraph
  private let decoder: DecoderPartition
  private let runner: PrefixRunner
  private let crosses: [CrossMemory]
  private(set) var sampleOfRow: [Int]
  /// Prefixes are read with the first step.
  private(set) var prefixCosts: [RowCost]
  private let made: DecodedStep
  private var prefixes: [[Int]]
  /// [rows, vocabulary] of the last step
  private var logits: Tensor?

  /// One row per sample.
  convenience init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, runner: PrefixRunner, samples: [EncodedSample]
  ) {
    self.init(
      unified, decoder, runner: runner,
      crosses: samples.map { CrossMemory($0, layerCount: decoder.layers.count) }, sampleOfRow: Array(samples.indices))
  }

  private init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, runner: PrefixRunner, crosses: [CrossMemory],
    sampleOfRow: [Int]
  ) {
    self.unified = unified
    self.decoder = decoder
    self.runner = runner
    self.crosses = crosses
    self.sampleOfRow = sampleOfRow
    made = DecodedStep(pool: runner.context.pool)
    prefixes = [[Int]](repeating: [], count: sampleOfRow.count)
    prefixCosts = [RowCost](repeating: RowCost(), count: sampleOfRow.count)
  }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) {
    (crosses[sample].multiplyAdds, crosses[sample].multiplyAddsPerLayer * decoder.layers.count)
  }

  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError) { self.prefixes = prefixes }

  /// Computes the whole vocabulary, whatever is wanted.
  func step(
    tokens: [Int], threshold: Double, options: RunOptions, logits wanted: WantedLogits
  ) throws(MueError) -> DecodedStep {
    made.begin(rows: rows, recordsSimilarities: options.recordsSimilarities)
    let watch = Stopwatch()
    var headTime = 0.0
    for row in 0..<rows {
      runner.trace?.begin("decoder step \(prefixes[row].count)")
      defer { runner.trace?.end() }
      prefixes[row].append(tokens[row])
      var state = try runner.embed(prefixes[row], isCancelled: options.isCancelled)
      let width = state.width
      let last = (state.positions - 1) * width
      let needsSimilarity = threshold < 1 || options.recordsSimilarities
      let cross = crosses[sampleOfRow[row]]
      var layerCost = 0
      made.costs[row].run += runner.takeMultiplyAdds()
      for layer in 1...decoder.layers.count {
        let values = try cross.values(layer: layer, plans: runner.cross, isCancelled: options.isCancelled)
        let similarity = try runner.run(layer, &state, encoderValues: values, isCancelled: options.isCancelled) {
          (before, after) in
          needsSimilarity ? StateSimilarity.between(before + last, after + last, count: width) : 0
        }
        layerCost = runner.takeMultiplyAdds()
        made.costs[row].run += layerCost
        made.exits[row] = layer
        if options.recordsSimilarities { made.similarities?[row].append(similarity) }
        if threshold < 1, similarity > threshold { break }
      }
      made.costs[row].full += layerCost * decoder.layers.count
      let headWatch = Stopwatch()
      let newest = try Tensor(.float32, [1, 1, width])
      newest.pointer.copyMemory(
        from: state.state.pointer + last * MemoryLayout<Float>.stride, byteCount: newest.byteCount)
      let head = try runner.head(newest, output: unified.roles.logits.value, isCancelled: options.isCancelled)
      if logits?.shape != [rows, head.count] { logits = try Tensor(.float32, [rows, head.count]) }
      logits.map { $0.pointer + row * head.byteCount }?.copyMemory(from: head.pointer, byteCount: head.byteCount)
      made.vocabulary = head.count
      let headCost = runner.takeMultiplyAdds()
      made.costs[row].run += headCost
      made.costs[row].full += headCost
      headTime += headWatch.milliseconds
    }
    made.headMilliseconds = headTime
    made.layersMilliseconds = watch.milliseconds - headTime
    made.logits = logits.map { UnsafePointer($0.pointer.assumingMemoryBound(to: Float.self)) }
    return made
  }

  func reorder(parents: [Int]) throws(MueError) {
    prefixes = parents.map { prefixes[$0] }
    sampleOfRow = parents.map { sampleOfRow[$0] }
    prefixCosts = parents.map { prefixCosts[$0] }
  }

  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder {
    let copy = RecomputingDecoder(
      unified, decoder, runner: runner, crosses: crosses, sampleOfRow: parents.map { sampleOfRow[$0] })
    copy.prefixes = parents.map { prefixes[$0] }
    return copy
  }
}
