import Tensor

/// IsNaN and IsInf: which elements are no finite numbers, to bool.
private struct FloatTestVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let test: @Sendable (Double) -> Bool

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (count, source, target) = (output.count, input.pointer, output.pointer)
    return { () throws(MueError) in
      for index in 0..<count {
        let value = source.load(fromByteOffset: index &* MemoryLayout<Element>.stride, as: Element.self)
        target.storeBytes(of: test(value.asDouble) ? 1 : 0, toByteOffset: index, as: UInt8.self)
      }
    }
  }
}

extension Operator {
  static let floatTests: [Operator] = [
    floatTest("IsNaN", since: 9) { _ throws(MueError) in { $0.isNaN } },
    floatTest("IsInf", since: 10) { attributes throws(MueError) in
      let negative = try attributes.flag("detect_negative", default: true)
      let positive = try attributes.flag("detect_positive", default: true)
      return { $0.isInfinite && ($0 < 0 ? negative : positive) }
    },
  ]

  private static func floatTest(
    _ name: String, since: Int,
    _ make: @escaping @Sendable (Attributes) throws(MueError) -> (@Sendable (Double) -> Bool)
  ) -> Operator {
    Operator(
      name, versions: since...28,
      infer: { node throws(MueError) in
        try node.require(0, .float32, .float64, .float16)
        return [TensorInfo(.bool, try node.input(0).shape)]
      },
      prepare: { call throws(MueError) in
        let input = try call.input(0)
        return try input.type.visit(
          FloatTestVisitor(input: input, output: call.output(), test: make(call.attributes)))
      })
  }
}
