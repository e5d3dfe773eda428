import CKernels
import Kernels
import Tensor

/// The product with a large vocabulary in few bits, with the error that each logit can have: what a search looks at before it
/// computes a few logits exactly. Made once per model: in eight bits with certain bounds; in four for models whose weights are
/// rounded, with bounds of some standard deviations (`mk_screen_bounds`).
///
/// The weights' own rows stay where they are, in the mapped file; only few of them are read.
struct VocabularyScreen {
  /// Vocabularies whose weights take fewer bytes are not worth it: the processor's cache holds them.
  static let smallest = 1 << 24

  let weights: VocabularyWeights
  /// How the screen's weights are stored.
  let type: mk_weights
  private let pages: WeightPages
  private let memory: Buffer
  private let boundsAt: Int
  /// The largest of `bounds`.
  let largestBound: Float

  /// - Parameters:
  ///   - weights: row-major.
  ///   - pages: of the model.
  init(_ weights: VocabularyWeights, pages: WeightPages, context: ComputeContext) throws(MueError) {
    let (matrix, count, width) = (weights.matrix, weights.count, weights.width)
    let isFloat = context.weights.precision == .float32
    let (type, name) = isFloat ? (MK_WEIGHTS_INT8, "int8") : (MK_WEIGHTS_INT4, "int4")
    let packedBytes = Int(clamping: mk_linear_packed_bytes(type, width, count))
    let boundsAt = try Shape.elementCount([1, packedBytes &+ 63]) & ~63
    memory = try context.weights.packed(
      .init("screen.\(name).k\(width).n\(count)", matrix), of: matrix,
      byteCount: boundsAt + count * MemoryLayout<Float>.stride
    ) { target in
      let source = UnsafePointer(matrix.pointer.assumingMemoryBound(to: Float.self))
      let bounds = (target + boundsAt).assumingMemoryBound(to: Float.self)
      mk_linear_pack(context.pool, type, source, width, 1, width, count, target)
      mk_linear_errors(context.pool, type, source, width, 1, width, count, target, bounds)
      mk_screen_bounds(context.pool, type, source, width, 1, width, count, bounds)
    }
    self.weights = weights
    self.pages = pages
    self.type = type
    self.boundsAt = boundsAt
    let bounds = (memory.base + boundsAt).assumingMemoryBound(to: Float.self)
    largestBound = UnsafeBufferPointer(start: bounds, count: count).reduce(0) { $0 >= $1 ? $0 : $1 }
  }

  /// Whether no logit's error is larger than its bound. Otherwise normalizers may also have terms of few bits where they are
  /// more than reported: their errors are below what the rounded weights of all layers did to the states.
  var isCertain: Bool { type == MK_WEIGHTS_INT8 }

  /// Whether few bits may stand for all but a few logits. Sums of log-probabilities that are compared in full
  /// precision take normalizers of exact logits.
  func suffices(for wanted: LeadingTokens) -> Bool { !isCertain || (wanted.count == 1 && !wanted.competes) }

  /// Whole products of the weights will be computed for tokens.
  func keepWeights() { pages.keepAll() }

  /// Gives back to the system what few rows of the weights have brought in.
  func releaseWeights() { pages.release(weights) }

  var width: Int { weights.width }
  var count: Int { weights.count }

  var packed: UnsafeRawPointer { UnsafeRawPointer(memory.base) }
  /// Of each logit: its error is at most the norm of the state times this, and a little of its own size; where they are not
  /// certain, as if what rounding took were independent of the state.
  var bounds: UnsafePointer<Float> {
    UnsafePointer((memory.base + boundsAt).assumingMemoryBound(to: Float.self))
  }
}
