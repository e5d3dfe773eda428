import CKernels
import Kernels
import Tensor

/// The product with a large vocabulary in eight bits, with the error that each logit can have: what a search looks at
/// before it computes a few logits exactly. Made once per model.
///
/// The weights' own rows stay where they are, in the mapped file; only few of them are read.
struct VocabularyScreen {
  /// Vocabularies whose weights take fewer bytes are not worth it: the processor's cache holds them.
  static let smallest = 1 << 24

  let weights: VocabularyWeights
  private let pages: WeightPages
  private let memory: Buffer
  /// Whether normalizers may have terms of eight bits where they are more than reported: their errors are below what
  /// the rounded weights of all layers did to the states.
  private let isRounded: Bool
  private let boundsAt: Int
  /// The largest of `bounds`.
  let largestBound: Float

  /// - Parameters:
  ///   - weights: row-major.
  ///   - pages: of the model.
  init(_ weights: VocabularyWeights, pages: WeightPages, context: ComputeContext) throws(MueError) {
    let (matrix, count, width) = (weights.matrix, weights.count, weights.width)
    let packedBytes = Int(clamping: mk_linear_packed_bytes(MK_WEIGHTS_INT8, width, count))
    let boundsAt = try Shape.elementCount([1, packedBytes &+ 63]) & ~63
    memory = try context.weights.packed(
      .init("screen.int8.k\(width).n\(count)", matrix), of: matrix,
      byteCount: boundsAt + count * MemoryLayout<Float>.stride
    ) { target in
      let source = UnsafePointer(matrix.pointer.assumingMemoryBound(to: Float.self))
      let bounds = (target + boundsAt).assumingMemoryBound(to: Float.self)
      mk_linear_pack(context.pool, MK_WEIGHTS_INT8, source, width, 1, width, count, target)
      mk_linear_errors(context.pool, MK_WEIGHTS_INT8, source, width, 1, width, count, target, bounds)
      mk_screen_bounds(context.pool, source, width, 1, width, count, bounds)
    }
    isRounded = context.weights.precision != .float32
    self.weights = weights
    self.pages = pages
    self.boundsAt = boundsAt
    let bounds = (memory.base + boundsAt).assumingMemoryBound(to: Float.self)
    largestBound = UnsafeBufferPointer(start: bounds, count: count).reduce(0) { $0 >= $1 ? $0 : $1 }
  }

  /// Whole products of the weights will be computed for tokens.
  func keepWeights() { pages.keepAll() }

  /// Gives back to the system what few rows of the weights have brought in.
  func releaseWeights() { pages.release(weights) }

  /// Whether the eight bits may stand for all but a few logits. Sums of log-probabilities that are compared in full
  /// precision take normalizers of exact logits.
  func suffices(for wanted: LeadingTokens) -> Bool { isRounded || (wanted.count == 1 && !wanted.competes) }

  var width: Int { weights.width }
  var count: Int { weights.count }

  var packed: UnsafeRawPointer { UnsafeRawPointer(memory.base) }
  /// Of each logit: its error is at most the norm of the state times this, and a little of its own size.
  var bounds: UnsafePointer<Float> {
    UnsafePointer((memory.base + boundsAt).assumingMemoryBound(to: Float.self))
  }
}
