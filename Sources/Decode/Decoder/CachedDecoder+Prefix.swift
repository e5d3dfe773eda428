import Exit
import Tensor

extension CachedDecoder {
  /// Reads what comes before the first step through `PrefixRunner`, all positions at once.
  ///
  /// Each layer's keys and values are its own projections of the states that the layer read, as in `propagate`.
  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError) {
    guard let count = prefixes.first?.count, count > 0 else { return }
    guard position == 0, prefixes.count == rows, prefixes.allSatisfy({ $0.count == count }) else {
      throw MueError(.internal, "prefixes that the decoder cannot read side by side")
    }
    for (row, prefix) in prefixes.enumerated() { try read(prefix, row: row, options) }
    position = count
  }

  private func read(_ prefix: [Int], row: Int, _ options: RunOptions) throws(MueError) {
    plans.trace?.begin("decoder prefix")
    defer { plans.trace?.end() }
    let runner = prefixRunner
    _ = runner.takeMultiplyAdds()
    var state = try runner.embed(prefix, isCancelled: options.isCancelled)
    prefixCosts[row].run += runner.takeMultiplyAdds()
    let count = prefix.count * width
    guard state.state.count == count else { throw MueError(.internal, "the decoder's width is not its stream's") }
    let threshold = options.thresholds.decoder.theta
    var layerCost = 0
    for layer in 1...layerCount {
      prefixCosts[row].run += try store(state.state, layer, row: row, options)
      let values = try crosses[sampleOfRow[row]].values(
        layer: layer, plans: plans.cross, isCancelled: options.isCancelled)
      let similarity = try runner.run(layer, &state, encoderValues: values, isCancelled: options.isCancelled) {
        (before, after) in
        threshold < 1 ? StateSimilarity.between(before, after, count: count) : 0
      }
      layerCost = runner.takeMultiplyAdds()
      prefixCosts[row].run += layerCost
      if threshold < 1, similarity > threshold { break }
    }
    prefixCosts[row].full += layerCost * layerCount
    memories[row].state(0).update(from: state.state.pointer.assumingMemoryBound(to: Float.self), count: count)
  }

  /// Puts the keys and values that `layer` makes of states [1, positions, width] into the memory of `row`; returns the
  /// multiply-adds.
  private func store(_ states: Tensor, _ layer: Int, row: Int, _ options: RunOptions) throws(MueError) -> Int {
    let count = states.shape[1]
    let step = try plans.propagation(layer: layer, atLeast: count)
    step.input.update(repeating: 0, count: step.count * width)
    step.input.update(from: states.pointer.assumingMemoryBound(to: Float.self), count: count * width)
    try step.plan.run(isCancelled: options.isCancelled)
    for position in 0..<count { try step.store(position, layer: layer, in: memories[row], position: position) }
    memories[row].filled[layer - 1] = count
    return step.multiplyAddsPerToken * count
  }
}
