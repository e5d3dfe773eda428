import CKernels
import Tensor

/// Between any two element types. Floats become integers by truncation, clamped to the range; integers wrap; anything
/// but 0 becomes true.
extension Operator {
  static let casts: [Operator] = [
    Operator(
      "Cast", versions: 6...28,
      infer: { node throws(MueError) in
        let to = try node.attributes.int("to", default: 0)
        guard let raw = Int32(exactly: to), let type = ElementType(rawValue: raw) else {
          throw MueError(.unsupported, "elements of ONNX type \(to)", at: .init(field: "to"))
        }
        return [TensorInfo(type, try node.input(0).shape)]
      },
      prepare: { call throws(MueError) in try Conversion.step(call) }),
    Operator(
      "CastLike", versions: 15...28,
      infer: { node throws(MueError) in [TensorInfo(try node.input(1).type, try node.input(0).shape)] },
      prepare: { call throws(MueError) in try Conversion.step(call) }),
  ]
}

private enum Conversion {
  static func step(_ call: Call) throws(MueError) -> Step {
    let (input, output) = (try call.input(0), try call.output())
    let (count, source, target) = (output.count, input.pointer, output.pointer)
    if input.type == output.type {
      let bytes = count &* input.type.byteWidth
      return { () throws(MueError) in target.copyMemory(from: source, byteCount: bytes) }
    }
    switch (input.type, output.type) {
    case (.bool, .float32):
      return { () throws(MueError) in
        let from = source.assumingMemoryBound(to: UInt8.self)
        for index in 0..<count { output.mutableFloats[index] = from[index] == 0 ? 0 : 1 }
      }
    case (.float16, .float32):
      return { () throws(MueError) in
        mk_f16_to_f32(source.assumingMemoryBound(to: UInt16.self), count, output.mutableFloats)
      }
    case (.float32, .float16):
      return { () throws(MueError) in mk_f32_to_f16(input.floats, count, target.assumingMemoryBound(to: UInt16.self)) }
    case (.bfloat16, .float32):
      return { () throws(MueError) in
        mk_bf16_to_f32(source.assumingMemoryBound(to: UInt16.self), count, output.mutableFloats)
      }
    case (.float32, .bfloat16):
      return { () throws(MueError) in mk_f32_to_bf16(input.floats, count, target.assumingMemoryBound(to: UInt16.self)) }
    case (_, .float32):
      return try input.type.visit(ToFloat<Float>(input: input, output: output))
    case (_, .float64) where input.type != .bfloat16 && input.type != .bool:
      return try input.type.visit(ToFloat<Double>(input: input, output: output))
    case (.int64, .int32):
      return { () throws(MueError) in
        let (from, to) = (source.assumingMemoryBound(to: Int64.self), target.assumingMemoryBound(to: Int32.self))
        for index in 0..<count { to[index] = Int32(truncatingIfNeeded: from[index]) }
      }
    case (.int32, .int64):
      return { () throws(MueError) in
        let (from, to) = (source.assumingMemoryBound(to: Int32.self), target.assumingMemoryBound(to: Int64.self))
        for index in 0..<count { to[index] = Int64(from[index]) }
      }
    default: break
    }
    return try anyStep(input, output)
  }

  /// Any pair, one element at a time.
  private static func anyStep(_ input: Operand, _ output: Operand) throws(MueError) -> Step {
    let load = try loader(input)
    let store = try storer(output)
    let count = output.count
    return { () throws(MueError) in
      for index in 0..<count { store(index, load(index)) }
    }
  }

  /// An element on its way from one type to another, without losing integers that a double cannot hold.
  enum Number {
    case integer(Int64)
    case unsigned(UInt64)
    case float(Double)

    var double: Double {
      switch self {
      case .integer(let value): Double(value)
      case .unsigned(let value): Double(value)
      case .float(let value): value
      }
    }
  }

  private static func loader(_ input: Operand) throws(MueError) -> (Int) -> Number {
    let source = input.pointer
    switch input.type {
    case .bool: return { .integer(source.load(fromByteOffset: $0, as: UInt8.self) == 0 ? 0 : 1) }
    case .uint64: return { .unsigned(source.load(fromByteOffset: $0 &* 8, as: UInt64.self)) }
    case .bfloat16:
      return { .float(Double(Float(bitPattern: UInt32(source.load(fromByteOffset: $0 &* 2, as: UInt16.self)) << 16))) }
    case .int64: return { .integer(source.load(fromByteOffset: $0 &* 8, as: Int64.self)) }
    case .int32: return { .integer(Int64(source.load(fromByteOffset: $0 &* 4, as: Int32.self))) }
    case .int16: return { .integer(Int64(source.load(fromByteOffset: $0 &* 2, as: Int16.self))) }
    case .int8: return { .integer(Int64(source.load(fromByteOffset: $0, as: Int8.self))) }
    case .uint32: return { .integer(Int64(source.load(fromByteOffset: $0 &* 4, as: UInt32.self))) }
    case .uint16: return { .integer(Int64(source.load(fromByteOffset: $0 &* 2, as: UInt16.self))) }
    case .uint8: return { .integer(Int64(source.load(fromByteOffset: $0, as: UInt8.self))) }
    case .float32: return { .float(Double(source.load(fromByteOffset: $0 &* 4, as: Float.self))) }
    case .float64: return { .float(source.load(fromByteOffset: $0 &* 8, as: Double.self)) }
    case .float16: return { .float(Double(source.load(fromByteOffset: $0 &* 2, as: Float16.self))) }
    }
  }

  private static func storer(_ output: Operand) throws(MueError) -> (Int, Number) -> Void {
    let target = output.pointer
    switch output.type {
    case .bool: return { target.storeBytes(of: $1.double == 0 ? 0 : 1, toByteOffset: $0, as: UInt8.self) }
    case .bfloat16:
      return { index, value in
        var single = Float(value.double)
        mk_f32_to_bf16(&single, 1, target.assumingMemoryBound(to: UInt16.self) + index)
      }
    case .float32: return { target.storeBytes(of: Float($1.double), toByteOffset: $0 &* 4, as: Float.self) }
    case .float64: return { target.storeBytes(of: $1.double, toByteOffset: $0 &* 8, as: Double.self) }
    case .float16: return { target.storeBytes(of: Float16($1.double), toByteOffset: $0 &* 2, as: Float16.self) }
    case .int64: return integerStorer(target, Int64.self)
    case .int32: return integerStorer(target, Int32.self)
    case .int16: return integerStorer(target, Int16.self)
    case .int8: return integerStorer(target, Int8.self)
    case .uint64: return integerStorer(target, UInt64.self)
    case .uint32: return integerStorer(target, UInt32.self)
    case .uint16: return integerStorer(target, UInt16.self)
    case .uint8: return integerStorer(target, UInt8.self)
    }
  }

  private static func integerStorer<Element: NumericElement & FixedWidthInteger>(
    _ target: UnsafeMutableRawPointer, _: Element.Type
  ) -> (Int, Number) -> Void {
    { index, number in
      let value: Element =
        switch number {
        case .integer(let value): Element(truncatingIfNeeded: value)
        case .unsigned(let value): Element(truncatingIfNeeded: value)
        case .float(let value): Element(converting: value)
        }
      target.storeBytes(of: value, toByteOffset: index &* MemoryLayout<Element>.stride, as: Element.self)
    }
  }
}

/// A float type that numbers are converted to in bulk.
private struct ToFloat<Target: NumericElement>: NumericVisitor {
  let input: Operand
  let output: Operand

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let from = input.pointer.assumingMemoryBound(to: Element.self)
    let to = output.pointer.assumingMemoryBound(to: Target.self)
    let count = output.count
    return { () throws(MueError) in
      for index in 0..<count { to[index] = Target(converting: from[index].asDouble) }
    }
  }
}
