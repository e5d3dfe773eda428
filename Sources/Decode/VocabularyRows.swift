import Graph
import Kernels
import Tensor

/// The logits of a few tokens: only their rows of the product with the vocabulary are computed.
struct VocabularyRows {
  private let unified: UnifiedGraph
  private let product: VocabularyProduct?

  init(_ unified: UnifiedGraph, _ decoder: DecoderPartition) {
    self.unified = unified
    product = decoder.vocabulary
  }

  /// [positions, candidates] from states [1, positions, width].
  func logits(
    _ states: Tensor, candidates: [Int], runner: PrefixRunner, options: RunOptions
  ) throws(MueError) -> Tensor {
    let positions = states.shape[1]
    let result = try Tensor(.float32, [positions, candidates.count])
    let target = result.pointer.assumingMemoryBound(to: Float.self)
    guard let product, let weight = unified.graph.constant(unified.graph.nodes[product.node].inputs[1]) else {
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
    let node = unified.graph.nodes[product.node]
    let isTransposed = try node.attributes.int("transposed", default: 0) != 0
    let vocabulary = weight.shape[isTransposed ? 0 : 1]
    let width = weight.shape[isTransposed ? 1 : 0]
    let (tokenStride, channelStride) = isTransposed ? (width, 1) : (1, vocabulary)
    let bias = node.inputs.count > 2 ? unified.graph.constant(node.inputs[2]) : nil
    let hidden = try runner.head(states, output: product.hidden, isCancelled: options.isCancelled)
    guard hidden.count == positions * width else { throw MueError(.internal, "the vocabulary does not fit the states") }
    let source = hidden.pointer.assumingMemoryBound(to: Float.self)
    for position in 0..<positions {
      for (index, token) in candidates.enumerated() {
        guard token >= 0, token < vocabulary else { throw Self.outside(token, vocabulary) }
        var sum = Double(bias.map { $0.pointer.loadUnaligned(fromByteOffset: token * 4, as: Float.self) } ?? 0)
        for channel in 0..<width {
          let offset = (token * tokenStride + channel * channelStride) * 4
          sum +=
            Double(source[position * width + channel])
            * Double(weight.pointer.loadUnaligned(fromByteOffset: offset, as: Float.self))
        }
        target[position * candidates.count + index] = Float(sum)
      }
    }
    return result
  }

  func multiplyAdds(positions: Int, candidates: Int) -> Int {
    guard let product, let weight = unified.graph.constant(unified.graph.nodes[product.node].inputs[1]),
      weight.shape.count == 2
    else { return 0 }
    return positions * candidates * min(weight.shape[0], weight.shape[1])
  }

  private static func outside(_ token: Int, _ vocabulary: Int) -> MueError {
    MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
  }
}
