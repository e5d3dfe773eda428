import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Operator {
  /// Base to the exponent, broadcast; the exponent may have another type, the result has the base's.
  static let power = Operator(
    "Pow", versions: 7...28,
    infer: { node throws(MueError) in
      let (base, exponent) = (try node.input(0), try node.input(1))
      return [TensorInfo(base.type, try Shape.broadcast(base.shape, exponent.shape))]
    },
    prepare: { call throws(MueError) in
      let (base, exponent, output) = (try call.input(0), try call.input(1), try call.output())
      if base.type == .float32, exponent.type == .float32,
        let fast = FloatBinary(MK_POW, base, exponent, output, pool: call.context.pool)
      {
        return { () throws(MueError) in fast.run() }
      }
      return try base.type.visit(PowerVisitor(base: base, exponent: exponent, output: output))
    })
}

/// The exponent is read as a double whatever its type, so that there is one loop per type of base.
private struct PowerVisitor: NumericVisitor {
  let base: Operand
  let exponent: Operand
  let output: Operand

  func visit<Base: NumericElement>(_: Base.Type) throws(MueError) -> Step {
    let loop = StridedLoop.elementwise([base, exponent], output)
    let (left, target) = (base.pointer, output.pointer)
    let read = try exponent.type.visit(ElementReader(pointer: exponent.pointer))
    let width = exponent.type.byteWidth
    let isInteger = !base.type.isFloatingPoint && !exponent.type.isFloatingPoint
    return { () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<loop.inner.extent {
          let x = left.load(fromByteOffset: offset[1], as: Base.self)
          let y = read(offset[2] / width)
          let value = isInteger && y >= 0 ? Self.integerPower(x, y) : Base(converting: pow(x.asDouble, y))
          target.storeBytes(of: value, toByteOffset: offset[0], as: Base.self)
          offset = offset &+ loop.inner.strides
        }
      }
    }
  }

  /// By repeated squaring, wrapping around as integer products do.
  private static func integerPower<Base: NumericElement>(_ base: Base, _ exponent: Double) -> Base {
    var result = Base.one
    var square = base
    var rest = UInt64(converting: exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = Base.product(result, square) }
      square = Base.product(square, square)
      rest >>= 1
    }
    return result
  }
}
