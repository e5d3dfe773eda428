import Graph
import Kernels
import Tensor

/// The logits of a few tokens: only their rows of the product with the vocabulary are computed.
struct VocabularyRows {
  private let unified: UnifiedGraph
  private let product: VocabularyProduct?
  private let weights: Weights?

  /// The product's weights in the graph's own layout.
  private struct Weights {
    var matrix: Tensor
    var bias: Tensor?
    var vocabulary: Int
    var width: Int
    /// Elements between two tokens, and between two channels of a token.
    var tokenStride: Int
    var channelStride: Int
  }

  init(_ unified: UnifiedGraph, _ decoder: DecoderPartition) {
    self.unified = unified
    product = decoder.vocabulary
    weights = product.flatMap { Self.weights($0, unified) }
  }

  private static func weights(_ product: VocabularyProduct, _ unified: UnifiedGraph) -> Weights? {
    let node = unified.graph.nodes[product.node]
    guard node.inputs.count > 1, let weight = unified.graph.constant(node.inputs[1]), weight.type == .float32,
      weight.shape.count == 2, let flag = try? node.attributes.int("transposed", default: 0)
    else { return nil }
    let bias = node.inputs.count > 2 ? unified.graph.constant(node.inputs[2]) : nil
    if let bias, bias.type != .float32 { return nil }
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    return flag != 0
      ? Weights(
        matrix: weight, bias: bias, vocabulary: rows, width: columns, tokenStride: columns, channelStride: 1)
      : Weights(
        matrix: weight, bias: bias, vocabulary: columns, width: rows, tokenStride: 1, channelStride: columns)
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
          guard token >= 0, token < vocabulary else { throw Self.outside(token, vocabulary) }
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
    for position in 0..<positions {
      let row = try logits(source + position * weights.width, width: weights.width, candidates: candidates)
      for (index, logit) in row.enumerated() { target[position * candidates.count + index] = logit }
    }
    return result
  }

  /// The logits of `candidates` from one hidden state before the vocabulary.
  func logits(
    _ hidden: UnsafePointer<Float>, width: Int, candidates: [Int]
  ) throws(MueError) -> [Float] {
    guard let weights, weights.width == width else {
      throw MueError(.internal, "the vocabulary does not fit the states")
    }
    return try candidates.map { (token) throws(MueError) in
      guard token >= 0, token < weights.vocabulary else { throw Self.outside(token, weights.vocabulary) }
      var sum = Double(weights.bias.map { $0.pointer.loadUnaligned(fromByteOffset: token * 4, as: Float.self) } ?? 0)
      var offset = token * weights.tokenStride * 4
      for channel in 0..<width {
        sum +=
          Double(hidden[channel]) * Double(weights.matrix.pointer.loadUnaligned(fromByteOffset: offset, as: Float.self))
        offset += weights.channelStride * 4
      }
      return Float(sum)
    }
  }

  /// Whether rows of their own cost clearly less than the product with the whole vocabulary, which runs at another
  /// speed altogether.
  func areFew(_ candidates: [[Int]]) -> Bool {
    guard let weights else { return false }
    return candidates.reduce(0) { $0 + $1.count } * 32 <= weights.vocabulary * candidates.count
  }

  func multiplyAdds(positions: Int, candidates: Int) -> Int { positions * candidates * (weights?.width ?? 0) }

  private static func outside(_ token: Int, _ vocabulary: Int) -> MueError {
    MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
  }
}
