import CKernels
import Tensor

/// A call of the C kernel for float32 operands with broadcasting.
struct FloatBinary {
  private let function: mk_binary_op
  private let pool: OpaquePointer
  private let extents: [Int]
  private let leftStrides: [Int]
  private let rightStrides: [Int]
  private let left: UnsafePointer<Float>
  private let right: UnsafePointer<Float>
  private let target: UnsafeMutablePointer<Float>

  /// nil when the broadcast has more levels than the kernel takes, or there is nothing to do.
  init?(_ function: mk_binary_op, _ a: Operand, _ b: Operand, _ output: Operand, pool: OpaquePointer) {
    let loop = StridedLoop.elementwise([a, b], output)
    guard !loop.isEmpty, loop.extents.count <= 8 else { return nil }
    self.function = function
    self.pool = pool
    extents = loop.extents
    leftStrides = loop.elementStrides(1, width: 4)
    rightStrides = loop.elementStrides(2, width: 4)
    left = a.floats
    right = b.floats
    target = output.mutableFloats
  }

  func run() {
    mk_binary(
      pool, function, Int32(truncatingIfNeeded: extents.count), extents, left, leftStrides, right, rightStrides, target)
  }
}

extension Operand {
  /// The elements of a float32 operand.
  var floats: UnsafePointer<Float> { UnsafePointer(mutableFloats) }
  var mutableFloats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }
}
