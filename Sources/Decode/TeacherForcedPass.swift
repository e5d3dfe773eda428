import Exit
import Graph
import Tensor

/// A pass of the decoder over a whole sequence, with one exit decision over all its positions.
///
/// Source: mue.md, "A teacher-forced pass over many positions at once makes one decision for the sample".
struct TeacherForcedPass {
  /// [1, positions, width], what the layers left.
  private(set) var states: Tensor
  private(set) var exit = 0
  private(set) var similarities: [Double] = []
  private(set) var cost = RowCost()
  private(set) var milliseconds = 0.0

  init(
    _ runner: PrefixRunner, _ decoder: DecoderPartition, sample: EncodedSample, ids: [Int], options: RunOptions
  ) throws(MueError) {
    let watch = Stopwatch()
    runner.trace?.begin("decoder pass")
    defer { runner.trace?.end() }
    let cross = CrossMemory(sample, layerCount: decoder.layers.count)
    _ = runner.takeMultiplyAdds()
    var state = try runner.embed(ids, isCancelled: options.isCancelled)
    cost.run = runner.takeMultiplyAdds()
    cost.full = cost.run
    let count = state.state.count
    // A sequence in one pass has one threshold: the schedules over time are for generation.
    let threshold = options.thresholds.decoder.theta
    let needsSimilarity = threshold < 1 || options.recordsSimilarities
    var layerCost = 0
    for layer in 1...decoder.layers.count {
      let values = try cross.values(layer: layer, plans: runner.cross, isCancelled: options.isCancelled)
      let similarity = try runner.run(layer, &state, encoderValues: values, isCancelled: options.isCancelled) {
        (before, after) in
        needsSimilarity ? StateSimilarity.between(before, after, count: count) : 0
      }
      layerCost = runner.takeMultiplyAdds()
      cost.run += layerCost
      exit = layer
      if needsSimilarity { similarities.append(similarity) }
      if threshold < 1, similarity > threshold { break }
    }
    cost.full += layerCost * decoder.layers.count + cross.multiplyAddsPerLayer * decoder.layers.count
    cost.run += cross.multiplyAdds
    states = state.state
    milliseconds = watch.milliseconds
  }

  mutating func charge(head multiplyAdds: Int) {
    cost.run += multiplyAdds
    cost.full += multiplyAdds
  }
}
