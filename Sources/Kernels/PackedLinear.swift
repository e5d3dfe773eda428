import CKernels
import Tensor

/// A constant weight matrix in the layout of `mk_linear`, packed once per model, and the calls that use it.
struct PackedLinear {
  let k: Int
  let n: Int
  private let storage: mk_weights
  private let packed: Buffer

  /// - Parameters:
  ///   - weights: float32 [k, n], or [n, k] when `transposed`.
  ///   - forFewRows: each token reads the weights anew: then they are coded, where they fit and that is faster.
  init(
    _ weights: Tensor, transposed: Bool, _ store: PackedWeights, _ pool: OpaquePointer, forFewRows: Bool = false
  ) throws(MueError) {
    guard weights.type == .float32, weights.shape.count == 2 else {
      throw MueError(.unsupported, "weights of type \(weights.type.name) and shape \(weights.shape)")
    }
    let (k, n) = transposed ? (weights.shape[1], weights.shape[0]) : (weights.shape[0], weights.shape[1])
    /// The weights in one way to store them: nil where they do not fit, or nobody has packed them so and nobody asked for it.
    func packed(_ storage: mk_weights, _ name: String, isAsked: Bool) throws(MueError) -> Buffer? {
      let key = PackedWeights.Key("linear.\(name).k\(k).n\(n).t\(transposed ? 1 : 0)", weights)
      guard isAsked else { return store.known(key) }
      let byteCount = Int(clamping: mk_linear_packed_bytes(storage, k, n))
      func isSound(_ packed: UnsafeRawPointer) -> Bool { mk_linear_is_sound(storage, k, n, packed) != 0 }
      return try store.packedIfFitting(key, of: weights, byteCount: byteCount, isSound: isSound) { target in
        let source = UnsafePointer(weights.pointer.assumingMemoryBound(to: Float.self))
        return mk_linear_pack(pool, storage, source, weights.shape[1], transposed ? 1 : 0, k, n, target) != 0
      }
    }
    let precision = store.precision
    let isCodingAsked = forFewRows && mk_linear_prefers_coded() != 0
    if let form = precision.codedStorage,
      // The second layout of them: in the first each panel had its head before it.
      let coded = try packed(form, precision.rawValue + "coded2", isAsked: isCodingAsked)
    {
      (storage, self.packed) = (form, coded)
    } else if let plain = try packed(precision.storage, precision.rawValue, isAsked: true) {
      (storage, self.packed) = (precision.storage, plain)
    } else {
      throw MueError(.internal, "weights of shape \(weights.shape) were not packed")
    }
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
