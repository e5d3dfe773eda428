import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A float function of one element: in C for float32 where the kernel has it, else computed in double precision.
private struct UnaryVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let function: @Sendable (Double) -> Double

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (count, source, target) = (output.count, input.pointer, output.pointer)
    return { () throws(MueError) in
      for index in 0..<count {
        let offset = index &* MemoryLayout<Element>.stride
        let value = source.load(fromByteOffset: offset, as: Element.self)
        target.storeBytes(of: Element(converting: function(value.asDouble)), toByteOffset: offset, as: Element.self)
      }
    }
  }
}

/// Integer forms of Abs, Neg, Sign and Relu, which must not pass through double.
private struct IntegerUnaryVisitor: NumericVisitor {
  enum Function: Sendable { case absolute, negative, sign, relu }
  let input: Operand
  let output: Operand
  let function: Function

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (count, source, target) = (output.count, input.pointer, output.pointer)
    return { () throws(MueError) in
      for index in 0..<count {
        let offset = index &* MemoryLayout<Element>.stride
        let x = source.load(fromByteOffset: offset, as: Element.self)
        let value: Element =
          switch function {
          case .absolute: x < .zero ? Element.difference(.zero, x) : x
          case .negative: Element.difference(.zero, x)
          case .sign: x > .zero ? .one : x < .zero ? Element.difference(.zero, .one) : .zero
          case .relu: x < .zero ? .zero : x
          }
        target.storeBytes(of: value, toByteOffset: offset, as: Element.self)
      }
    }
  }
}

/// The parameters that some functions take from attributes.
struct UnaryParameters: Sendable {
  let alpha: Double
  let beta: Double
}

extension Operator {
  static let unaryMath: [Operator] = [
    unary("Sqrt", MK_SQRT) { $0.squareRoot() }, unary("Reciprocal", MK_RECIPROCAL) { 1 / $0 },
    unary("Exp", MK_EXP) { exp($0) }, unary("Log", MK_LOG) { log($0) }, unary("Erf", MK_ERF) { erf($0) },
    unary("Sigmoid", MK_SIGMOID) { 1 / (1 + exp(-$0)) }, unary("Tanh", MK_TANH) { tanh($0) },
    unary("Sin", MK_SIN) { sin($0) }, unary("Cos", MK_COS) { cos($0) }, unary("Tan", MK_TAN) { tan($0) },
    unary("Asin", MK_ASIN) { asin($0) }, unary("Acos", MK_ACOS) { acos($0) }, unary("Atan", MK_ATAN) { atan($0) },
    unary("Sinh", MK_SINH) { sinh($0) }, unary("Cosh", MK_COSH) { cosh($0) }, unary("Asinh", MK_ASINH) { asinh($0) },
    unary("Acosh", MK_ACOSH) { acosh($0) }, unary("Atanh", MK_ATANH) { atanh($0) },
    unary("Floor", MK_FLOOR) { $0.rounded(.down) }, unary("Ceil", MK_CEIL) { $0.rounded(.up) },
    unary("Round", MK_ROUND, since: 11) { $0.rounded(.toNearestOrEven) },
    unary("Softplus", MK_SOFTPLUS) { max($0, 0) + log1p(exp(-abs($0))) },
    unary("Softsign", MK_SOFTSIGN) { $0 / (1 + abs($0)) },
    unary("HardSwish", MK_HARD_SWISH, since: 14) { $0 * max(0, min(1, $0 / 6 + 0.5)) },
    unary("Mish", MK_MISH, since: 18) { $0 * tanh(max($0, 0) + log1p(exp(-abs($0)))) },
    unary("Abs", MK_ABS, integer: .absolute) { abs($0) }, unary("Neg", MK_NEG, integer: .negative) { -$0 },
    unary("Sign", MK_SIGN, since: 9, integer: .sign) { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 },
    unary("Relu", MK_RELU, integer: .relu) { $0 < 0 ? 0 : $0 },
    unary("Silu", MK_SILU, domain: "mue", since: 1) { $0 / (1 + exp(-$0)) },
    gelu("", since: 20), gelu("mue", since: 1),
    parametric("LeakyRelu", MK_LEAKY_RELU, alpha: 0.01) { x, p in x < 0 ? p.alpha * x : x },
    parametric("Elu", MK_ELU, alpha: 1) { x, p in x < 0 ? p.alpha * expm1(x) : x },
    parametric("HardSigmoid", MK_HARD_SIGMOID, alpha: 0.2, beta: 0.5) { x, p in max(0, min(1, p.alpha * x + p.beta)) },
    parametric("Celu", nil, alpha: 1, since: 12) { x, p in max(0, x) + min(0, p.alpha * expm1(x / p.alpha)) },
    parametric("ThresholdedRelu", nil, alpha: 1, since: 10) { x, p in x > p.alpha ? x : 0 },
    parametric("Selu", nil, alpha: 1.67326319217681884765625, beta: 1.05070102214813232421875, betaName: "gamma") {
      x, p in
      x > 0 ? p.beta * x : p.beta * p.alpha * expm1(x)
    },
  ]

  private static func sameShape(_ node: Inference) throws(MueError) -> [TensorInfo] {
    let input = try node.input(0)
    return [TensorInfo(input.type, input.shape)]
  }

  private static func floatShape(_ node: Inference) throws(MueError) -> [TensorInfo] {
    try node.require(0, .float32, .float64, .float16)
    return try sameShape(node)
  }

  private static func unaryStep(
    _ call: Call, _ kernel: mk_unary_op?, _ function: @escaping @Sendable (Double) -> Double
  ) throws(MueError) -> Step {
    let (input, output) = (try call.input(0), try call.output())
    if let kernel, output.type == .float32 {
      let (pool, count, source, target) = (call.context.pool, output.count, input.floats, output.mutableFloats)
      return { () throws(MueError) in mk_unary(pool, kernel, count, source, target) }
    }
    return try output.type.visit(UnaryVisitor(input: input, output: output, function: function))
  }

  private static func unary(
    _ name: String, _ kernel: mk_unary_op, domain: String = "", since: Int = 6,
    integer: IntegerUnaryVisitor.Function? = nil, _ function: @escaping @Sendable (Double) -> Double
  ) -> Operator {
    Operator(
      name, domain: domain, versions: since...28,
      infer: { node throws(MueError) in try integer == nil ? floatShape(node) : sameShape(node) },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        if let integer, !output.type.isFloatingPoint {
          return try output.type.visit(IntegerUnaryVisitor(input: input, output: output, function: integer))
        }
        return try unaryStep(call, kernel, function)
      })
  }

  /// ONNX's Gelu, and ours for graphs of older opsets; attribute `approximate`: none or tanh.
  private static func gelu(_ domain: String, since: Int) -> Operator {
    Operator(
      "Gelu", domain: domain, versions: since...28, infer: { node throws(MueError) in try floatShape(node) },
      prepare: { call throws(MueError) in
        switch try call.attributes.string("approximate", default: "none") {
        case "none": return try unaryStep(call, MK_GELU_ERF) { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
        case "tanh":
          return try unaryStep(call, MK_GELU_TANH) {
            0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
          }
        case let other:
          throw MueError(.unsupported, "approximation '\(other)' of Gelu", at: .init(field: "approximate"))
        }
      })
  }

  private static func parametric(
    _ name: String, _ kernel: mk_param_op?, alpha: Float, beta: Float = 0, betaName: String = "beta", since: Int = 6,
    _ function: @escaping @Sendable (Double, UnaryParameters) -> Double
  ) -> Operator {
    Operator(
      name, versions: since...28, infer: { node throws(MueError) in try floatShape(node) },
      prepare: { call throws(MueError) in
        let alpha = try call.attributes.float("alpha", default: alpha)
        let beta = try call.attributes.float(betaName, default: beta)
        let (input, output) = (try call.input(0), try call.output())
        if let kernel, output.type == .float32 {
          let (pool, count, source, target) = (call.context.pool, output.count, input.floats, output.mutableFloats)
          return { () throws(MueError) in mk_unary_param(pool, kernel, count, source, alpha, beta, target) }
        }
        let parameters = UnaryParameters(alpha: Double(alpha), beta: Double(beta))
        return try unaryStep(call, nil) { function($0, parameters) }
      })
  }
}
