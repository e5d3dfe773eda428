import CKernels
import Tensor

/// A constant weight matrix in the layout of `mk_linear`, packed once per model, and the calls that use it.
struct PackedLinear {
  let k: Int
  let n: Int
  private let storage: mk_weights
  private let packed: Buffer

  /// - Parameter weights: float32 [k, n], or [n, k] when `transposed`.
  init(_ weights: Tensor, transposed: Bool, _ store: PackedWeights, _ pool: OpaquePointer) throws(MueError) {
    guard weights.type == .float32, weights.shape.count == 2 else {
      throw MueError(.unsupported, "weights of type \(weights.type.name) and shape \(weights.shape)")
    }
    let (k, n) = transposed ? (weights.shape[1], weights.shape[0]) : (weights.shape[0], weights.shape[1])
    let storage = store.precision.storage
    let layout = "linear.\(store.precision.rawValue).k\(k).n\(n).t\(transposed ? 1 : 0)"
    let byteCount = Int(clamping: mk_linear_packed_bytes(storage, k, n))
    packed = try store.packed(.init(layout, weights), of: weights, byteCount: byteCount) { target in
      let source = UnsafePointer(weights.pointer.assumingMemoryBound(to: Float.self))
      mk_linear_pack(pool, storage, source, weights.shape[1], transposed ? 1 : 0, k, n, target)
    }
    self.storage = storage
    self.k = k
    self.n = n
  }

  /// y[m, n] = activation(x[m, k] w + bias + residual), all contiguous.
  func step(
    _ call: Call, m: Int, x: Operand, bias: Operand?, residual: Operand? = nil, activation: mk_activation, y: Operand
  ) throws(MueError) -> Step {
    guard m > 0, n > 0 else { return {} }
    let (pool, scratch, storage, packed, k, n) = (call.context.pool, call.scratch, storage, packed, k, n)
    try scratch.reserve(Int(clamping: mk_linear_scratch(pool, storage, m, k, n)))
    return { () throws(MueError) in
      mk_linear(
        pool, storage, m, k, n, x.floats, k, packed.base, bias?.floats, activation, residual?.floats, n,
        y.mutableFloats, n, scratch.base)
    }
  }
}

extension Attributes {
  /// The activation of a fused operator.
  func activation() throws(MueError) -> mk_activation {
    switch try string("activation", default: "none") {
    case "none": return MK_ACT_NONE
    case "relu": return MK_ACT_RELU
    case "gelu": return MK_ACT_GELU_ERF
    case "gelu_tanh": return MK_ACT_GELU_TANH
    case "silu": return MK_ACT_SILU
    case "sigmoid": return MK_ACT_SIGMOID
    case "tanh": return MK_ACT_TANH
    case let other: throw MueError(.unsupported, "activation '\(other)'", at: .init(field: "activation"))
    }
  }
}
