import CKernels
import Kernels
import Tensor

/// The product with a large vocabulary in few bits: what a search looks at before it computes a few logits exactly. Made once
/// per model: in eight bits with a bound of each logit's error, or in four for models in int8, where no bound would say what
/// the model's own weights have lost.
///
/// The weights' own rows stay where they are, in the mapped file; only few of them are read.
struct VocabularyScreen {
  /// Vocabularies whose weights take fewer bytes are not worth it: the processor's cache holds them.
  static let smallest = 1 << 24

  /// Of each logit: its error is at most the norm of the state times this, and a little of its own size.
  struct Bounds {
    let each: UnsafePointer<Float>
    let largest: Float
  }

  let weights: VocabularyWeights
  /// How the screen's weights are stored.
  let type: mk_weights
  /// nil: the tokens that are wanted are trusted to be among the largest.
  let bounds: Bounds?
  private let pages: WeightPages
  private let memory: Buffer
  /// Whether normalizers may have terms of few bits where they are more than reported: their errors are below what
  /// the rounded weights of all layers did to the states.
  private let isRounded: Bool

  /// - Parameters:
  ///   - weights: row-major.
  ///   - pages: of the model.
  init(_ weights: VocabularyWeights, pages: WeightPages, context: ComputeContext) throws(MueError) {
    let (matrix, count, width) = (weights.matrix, weights.count, weights.width)
    let precision = context.weights.precision
    let (type, name) = precision == .int8 ? (MK_WEIGHTS_INT4, "int4") : (MK_WEIGHTS_INT8, "int8")
    let isBounded = type == MK_WEIGHTS_INT8
    let packedBytes = Int(clamping: mk_linear_packed_bytes(type, width, count))
    let boundsAt = try Shape.elementCount([1, packedBytes &+ 63]) & ~63
    memory = try context.weights.packed(
      .init("screen.\(name).k\(width).n\(count)", matrix), of: matrix,
      byteCount: boundsAt + (isBounded ? count * MemoryLayout<Float>.stride : 0)
    ) { target in
      let source = UnsafePointer(matrix.pointer.assumingMemoryBound(to: Float.self))
      mk_linear_pack(context.pool, type, source, width, 1, width, count, target)
      guard isBounded else { return }
      let bounds = (target + boundsAt).assumingMemoryBound(to: Float.self)
      mk_linear_errors(context.pool, type, source, width, 1, width, count, target, bounds)
      mk_screen_bounds(context.pool, source, width, 1, width, count, bounds)
    }
    self.weights = weights
    self.pages = pages
    self.type = type
    isRounded = precision != .float32
    guard isBounded else {
      bounds = nil
      return
    }
    let each = UnsafePointer((memory.base + boundsAt).assumingMemoryBound(to: Float.self))
    bounds = Bounds(
      each: each, largest: UnsafeBufferPointer(start: each, count: count).reduce(0) { $0 >= $1 ? $0 : $1 })
  }

  /// Whole products of the weights will be computed for tokens.
  func keepWeights() { pages.keepAll() }

  /// Gives back to the system what few rows of the weights have brought in.
  func releaseWeights() { pages.release(weights) }

  /// Whether few bits may stand for all but a few logits. Sums of log-probabilities that are compared in full
  /// precision take normalizers of exact logits.
  func suffices(for wanted: LeadingTokens) -> Bool { isRounded || (wanted.count == 1 && !wanted.competes) }

  var width: Int { weights.width }
  var count: Int { weights.count }
  var packed: UnsafeRawPointer { UnsafeRawPointer(memory.base) }
}
