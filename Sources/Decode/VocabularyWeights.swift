import CKernels
import Graph
import Kernels
import Tensor

/// The weights of the product with the vocabulary in the graph's own layout, where the model's file has them.
struct VocabularyWeights {
  let matrix: Tensor
  private let bias: Tensor?
  let count: Int
  let width: Int
  /// Elements between two tokens, and between two channels of a token.
  private let tokenStride: Int
  private let channelStride: Int

  /// - Parameters:
  ///   - matrix: float32 [count, width], or [width, count] unless `transposed`.
  ///   - bias: float32 [count]
  init(_ matrix: Tensor, bias: Tensor?, transposed: Bool) {
    self.matrix = matrix
    self.bias = bias
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    (count, width) = transposed ? (rows, columns) : (columns, rows)
    (tokenStride, channelStride) = transposed ? (columns, 1) : (1, columns)
  }

  /// nil when they are no constants.
  init?(_ product: VocabularyProduct, _ graph: Graph) {
    let node = graph.nodes[product.node]
    guard node.inputs.count > 1, let matrix = graph.constant(node.inputs[1]), matrix.type == .float32,
      matrix.shape.count == 2, let flag = try? node.attributes.int("transposed", default: 0)
    else { return nil }
    var bias: Tensor?
    if node.inputs.count > 2, let input = node.inputs[2] {
      bias = graph.constant(input)
      guard let bias, bias.type == .float32, bias.count == matrix.shape[flag != 0 ? 0 : 1] else { return nil }
    }
    self.init(matrix, bias: bias, transposed: flag != 0)
  }

  /// Whether the weights of a token lie side by side, where floats may lie.
  var isRowMajor: Bool { channelStride == 1 && Int(bitPattern: matrix.pointer) % MemoryLayout<Float>.alignment == 0 }

  /// Of each token; nil without one.
  var biases: UnsafePointer<Float>? { bias.map { UnsafePointer($0.pointer.assumingMemoryBound(to: Float.self)) } }

  /// The logit of one token from one state [width]: in double precision, rounded once.
  func logit(_ hidden: UnsafePointer<Float>, token: Int) throws(MueError) -> Float {
    guard token >= 0, token < count else { throw Self.outside(token, count) }
    var sum = Double(bias.map { $0.pointer.loadUnaligned(fromByteOffset: token * 4, as: Float.self) } ?? 0)
    var offset = token * tokenStride * 4
    for channel in 0..<width {
      sum += Double(hidden[channel]) * Double(matrix.pointer.loadUnaligned(fromByteOffset: offset, as: Float.self))
      offset += channelStride * 4
    }
    return Float(sum)
  }

  /// The weights of a token, [width]; they must be row-major.
  func row(_ token: Int) -> UnsafePointer<Float> {
    UnsafePointer(matrix.pointer.assumingMemoryBound(to: Float.self)) + token * tokenStride
  }

  /// All logits [rows, count] from states [rows, width], without packed weights; they must be row-major.
  func product(
    _ hidden: UnsafePointer<Float>, rows: Int, into logits: UnsafeMutablePointer<Float>, _ pool: OpaquePointer
  ) throws(MueError) {
    guard isRowMajor else { throw MueError(.internal, "the vocabulary does not lie row by row") }
    mk_rows_product(
      pool, rows, width, count, hidden, width, UnsafePointer(matrix.pointer.assumingMemoryBound(to: Float.self)),
      tokenStride, biases, logits, count)
  }

  /// Gives the rows that were read back to the system: each came with its neighbours in the file.
  func releasePages() { matrix.buffer.releasePages(matrix.byteOffset..<matrix.byteOffset + matrix.byteCount) }

  static func outside(_ token: Int, _ vocabulary: Int) -> MueError {
    MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
  }
}
