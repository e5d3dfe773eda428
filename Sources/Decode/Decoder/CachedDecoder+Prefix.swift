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
    costs[row].run += runner.takeMultiplyAdds()
    let count = prefix.count * width
    guard state.state.count == count else { throw MueError(.internal, "the decoder's width is not its stream's") }
    let positions = prefix.indices.map { (row: row, position: $0) }
    let threshold = options.thresholds.decoder.theta
    var layerCost = 0
    for layer in 1...layerCount {
      try prepareCaches(layer)
      let before = state.state.pointer.assumingMemoryBound(to: Float.self)
      costs[row].run += try store(before, layer, positions, options) * prefix.count
      filled[layer - 1][row] = prefix.count
      let values = try crosses[sampleOfRow[row]].values(
        layer: layer, plans: plans.cross, isCancelled: options.isCancelled)
      let similarity = try runner.run(layer, &state, encoderValues: values, isCancelled: options.isCancelled) {
        (before, after) in
        threshold < 1 ? StateSimilarity.between(before, after, count: count) : 0
      }
      layerCost = runner.takeMultiplyAdds()
      costs[row].run += layerCost
      if threshold < 1, similarity > threshold { break }
    }
    costs[row].full += layerCost * layerCount
    exitState(row, 0).update(from: state.state.pointer.assumingMemoryBound(to: Float.self), count: count)
  }
}
