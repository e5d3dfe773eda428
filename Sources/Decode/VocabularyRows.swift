import Graph
import Kernels
import Tensor

/// The product with the vocabulary where not all of it, or not the packed form of it, is wanted: the logits of a few
/// tokens from their rows alone, and those of all tokens from the weights where they lie.
struct VocabularyRows {
  private let unified: UnifiedGraph
  private let product: VocabularyProduct?
  let weights: VocabularyWeights?

  /// nil where the whole product is computed exactly at once.
  let screen: VocabularyScreen?

  init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, _ context: ComputeContext
  ) throws(MueError) {
    self.unified = unified
    product = decoder.vocabulary
    weights = product.flatMap { VocabularyWeights($0, unified.graph) }
    screen = try unified.vocabularyScreen(context)
  }

  /// All logits [1, positions, vocabulary] from states [1, positions, width].
  func logits(_ states: Tensor, runner: PrefixRunner, options: RunOptions) throws(MueError) -> Tensor {
    guard screen != nil, let weights, let product else {
      return try runner.head(states, output: unified.roles.logits.value, isCancelled: options.isCancelled)
    }
    let hidden = try runner.head(states, output: product.hidden, isCancelled: options.isCancelled)
    let positions = states.shape[1]
    guard hidden.count == positions * weights.width else {
      throw MueError(.internal, "the vocabulary does not fit the states")
    }
    let result = try Tensor(.float32, [1, positions, weights.count])
    try weights.product(
      hidden.pointer.assumingMemoryBound(to: Float.self), rows: positions,
      into: result.pointer.assumingMemoryBound(to: Float.self), runner.context.pool)
    return result
  }

  /// [positions, candidates] from states [1, positions, width].
  func logits(
    _ states: Tensor, candidates: [Int], runner: PrefixRunner, options: RunOptions
  ) throws(MueError) -> Tensor {
    let positions = states.shape[1]
    let result = try Tensor(.float32, [positions, candidates.count])
    let target = result.pointer.assumingMemoryBound(to: Float.self)
    guard let weights, let product else {
      let all = try runner.head(states, output: unified.roles.logits.value, isCancelled: options.isCancelled)
      let vocabulary = all.shape[all.shape.count - 1]
      let source = all.pointer.assumingMemoryBound(to: Float.self)
      for position in 0..<positions {
        for (index, token) in candidates.enumerated() {
          guard token >= 0, token < vocabulary else { throw VocabularyWeights.outside(token, vocabulary) }
          target[position * candidates.count + index] = source[position * vocabulary + token]
        }
      }
      return result
    }
    let hidden = try runner.head(states, output: product.hidden, isCancelled: options.isCancelled)
    guard hidden.count == positions * weights.width else {
      throw MueError(.internal, "the vocabulary does not fit the states")
    }
    let source = hidden.pointer.assumingMemoryBound(to: Float.self)
    var row: [Float] = []
    for position in 0..<positions {
      try logits(source + position * weights.width, width: weights.width, candidates: candidates, into: &row)
      for (index, logit) in row.enumerated() { target[position * candidates.count + index] = logit }
    }
    return result
  }

  /// The logits of `candidates` from one hidden state before the vocabulary.
  func logits(
    _ hidden: UnsafePointer<Float>, width: Int, candidates: [Int], into logits: inout [Float]
  ) throws(MueError) {
    guard let weights, weights.width == width else {
      throw MueError(.internal, "the vocabulary does not fit the states")
    }
    logits.removeAll(keepingCapacity: true)
    for token in candidates { logits.append(try weights.logit(hidden, token: token)) }
  }

  /// Whether rows of their own cost clearly less than the product with the whole vocabulary, which runs at another
  /// speed altogether.
  func areFew(_ candidates: [[Int]]) -> Bool {
    guard let weights else { return false }
    var count = 0
    for row in candidates { count += row.count }
    return count * 32 <= weights.count * candidates.count
  }

  func multiplyAdds(positions: Int, candidates: Int) -> Int { positions * candidates * (weights?.width ?? 0) }
}
