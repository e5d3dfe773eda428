import CKernels
import Tensor

/// Add, Sub, Mul, Div, Mod, PRelu and the two-operand steps of Min, Max, Sum and Mean: elementwise with broadcasting.
enum BinaryArithmetic: Sendable {
  case add, subtract, multiply, divide, modulo, remainder, minimum, maximum, prelu

  @inline(__always)
  func apply<Element: NumericElement>(_ a: Element, _ b: Element) -> Element? {
    switch self {
    case .add: Element.sum(a, b)
    case .subtract: Element.difference(a, b)
    case .multiply: Element.product(a, b)
    case .divide: Element.quotient(a, b)
    case .modulo: Element.modulo(a, b)
    case .remainder: Element.remainder(a, b)
    case .minimum: a.isNotANumber ? a : b.isNotANumber ? b : Swift.min(a, b)
    case .maximum: a.isNotANumber ? a : b.isNotANumber ? b : Swift.max(a, b)
    case .prelu: a < .zero ? Element.product(a, b) : a
    }
  }

  /// The C kernel for float32, where there is one.
  private var kernel: mk_binary_op? {
    switch self {
    case .add: MK_ADD
    case .subtract: MK_SUB
    case .multiply: MK_MUL
    case .divide: MK_DIV
    case .minimum: MK_MIN
    case .maximum: MK_MAX
    case .modulo, .remainder, .prelu: nil
    }
  }

  /// A step that combines `a` and `b`, broadcast, into `output`; `output` may be the same memory as an operand that
  /// has its shape.
  func step(_ a: Operand, _ b: Operand, into output: Operand, _ call: Call) throws(MueError) -> Step {
    if output.type == .float32, let kernel, let fast = FloatBinary(kernel, a, b, output, pool: call.context.pool) {
      return { () throws(MueError) in fast.run() }
    }
    return try output.type.visit(BinaryVisitor(function: self, a: a, b: b, output: output))
  }
}

/// The loop of one binary function for one element type.
private struct BinaryVisitor: NumericVisitor {
  let function: BinaryArithmetic
  let a: Operand
  let b: Operand
  let output: Operand

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    switch function {
    case .add: loop { (a: Element, b) in Element.sum(a, b) }
    case .subtract: loop { (a: Element, b) in Element.difference(a, b) }
    case .multiply: loop { (a: Element, b) in Element.product(a, b) }
    default: loop { (a: Element, b) in function.apply(a, b) }
    }
  }

  @inline(__always)
  private func loop<Element: NumericElement>(_ apply: @escaping (Element, Element) -> Element?) -> Step {
    let loop = StridedLoop.elementwise([a, b], output)
    let (target, left, right) = (output.pointer, a.pointer, b.pointer)
    return { () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<loop.inner.extent {
          guard
            let value = apply(
              left.load(fromByteOffset: offset[1], as: Element.self),
              right.load(fromByteOffset: offset[2], as: Element.self))
          else { throw MueError(.invalidArgument, "an integer is divided by zero") }
          target.storeBytes(of: value, toByteOffset: offset[0], as: Element.self)
          offset = offset &+ loop.inner.strides
        }
      }
    }
  }
}

extension StridedLoop {
  /// A loop over `output` with up to three operands broadcast to it, in that order after the output.
  static func elementwise(_ operands: [Operand], _ output: Operand) -> StridedLoop {
    StridedLoop(
      output.shape,
      strides: [byteStrides(output.shape, width: output.type.byteWidth)]
        + operands.map { broadcastStrides($0.shape, to: output.shape, width: $0.type.byteWidth) })
  }
}

extension Inference {
  /// The outputs of an elementwise operator with broadcasting: all inputs have one type.
  func broadcastAll(result: ElementType? = nil) throws(MueError) -> [TensorInfo] {
    let first = try input(0)
    var shape = first.shape
    for index in inputs.indices.dropFirst() {
      let next = try input(index)
      guard next.type == first.type else {
        throw MueError(.invalidModel, "inputs of types \(first.type.name) and \(next.type.name) do not combine")
      }
      shape = try Shape.broadcast(shape, next.shape)
    }
    return [TensorInfo(result ?? first.type, shape)]
  }
}

extension Operator {
  static let binaryArithmetic: [Operator] = [
    binary("Add", .add), binary("Sub", .subtract), binary("Mul", .multiply), binary("Div", .divide), mod, prelu,
    variadic("Min", .minimum), variadic("Max", .maximum), variadic("Sum", .add), variadic("Mean", .add, mean: true),
  ]

  private static func binary(_ name: String, _ function: BinaryArithmetic) -> Operator {
    Operator(
      name, versions: 7...28, mayOverwrite: true,
      infer: { node throws(MueError) in
        _ = try node.input(1)
        return try node.broadcastAll()
      },
      prepare: { call throws(MueError) in
        try function.step(call.input(0), call.input(1), into: call.output(), call)
      })
  }

  private static let mod = Operator(
    "Mod", versions: 10...28,
    infer: { node throws(MueError) in
      _ = try node.input(1)
      return try node.broadcastAll()
    },
    prepare: { call throws(MueError) in
      let truncated = try call.attributes.flag("fmod")
      return try (truncated ? BinaryArithmetic.remainder : .modulo)
        .step(call.input(0), call.input(1), into: call.output(), call)
    })

  /// The slope is broadcast to the input, never the other way.
  private static let prelu = Operator(
    "PRelu", versions: 7...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      _ = try node.input(1)
      let output = try node.broadcastAll()
      guard output.first?.shape == input.shape else {
        throw MueError(.invalidModel, "the slope does not broadcast to the input's shape \(input.shape)")
      }
      return output
    },
    prepare: { call throws(MueError) in
      try BinaryArithmetic.prelu.step(call.input(0), call.input(1), into: call.output(), call)
    })

  /// Left fold of a binary function over any number of inputs; the first step copies or combines into the output.
  private static func variadic(_ name: String, _ function: BinaryArithmetic, mean: Bool = false) -> Operator {
    Operator(
      name, versions: 8...28,
      infer: { node throws(MueError) in try node.broadcastAll() },
      prepare: { call throws(MueError) in
        let output = try call.output()
        guard call.inputs.count > 1 else { return try copyStep(call) }
        var stages = [Stage(run: try function.step(call.input(0), call.input(1), into: output, call))]
        for index in call.inputs.indices.dropFirst(2) {
          stages.append(Stage(run: try function.step(output, call.input(index), into: output, call)))
        }
        var divisor: Tensor?
        if mean {
          let count = try output.type.visit(ScalarMaker(value: Double(call.inputs.count)))
          let operand = Operand(output.type, [], count.pointer)
          stages.append(Stage(run: try BinaryArithmetic.divide.step(output, operand, into: output, call)))
          divisor = count
        }
        let (all, kept) = (stages, divisor)
        return { () throws(MueError) in
          for stage in all { try stage.run() }
          withExtendedLifetime(kept) {}
        }
      })
  }
}

/// One step of several; a struct because arrays of typed-throwing closures crash the compiler (Swift 6.3.1).
private struct Stage {
  let run: Step
}

/// A scalar tensor of any numeric type.
struct ScalarMaker: NumericVisitor {
  let value: Double

  func visit<Element: NumericElement>(_: Element.Type) throws(MueError) -> Tensor {
    let buffer = try Buffer(byteCount: MemoryLayout<Element>.size)
    buffer.base.storeBytes(of: Element(converting: value), as: Element.self)
    return try Tensor(elementType(Element.self), [], buffer: buffer)
  }

  private func elementType<Element: NumericElement>(_: Element.Type) -> ElementType {
    switch Element.self {
    case is Float.Type: .float32
    case is Double.Type: .float64
    case is Float16.Type: .float16
    case is Int64.Type: .int64
    case is Int32.Type: .int32
    case is Int16.Type: .int16
    case is Int8.Type: .int8
    case is UInt64.Type: .uint64
    case is UInt32.Type: .uint32
    case is UInt16.Type: .uint16
    default: .uint8
    }
  }
}
