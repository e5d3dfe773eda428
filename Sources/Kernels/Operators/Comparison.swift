import Tensor

/// Equal, Greater, GreaterOrEqual, Less, LessOrEqual: elementwise with broadcasting, to bool.
private enum Comparison: Sendable { case equal, greater, greaterOrEqual, less, lessOrEqual }

private struct ComparisonVisitor: NumericVisitor {
  let function: Comparison
  let a: Operand
  let b: Operand
  let output: Operand

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    switch function {
    case .equal: loop { (a: Element, b) in a == b }
    case .greater: loop { (a: Element, b) in a > b }
    case .greaterOrEqual: loop { (a: Element, b) in a >= b }
    case .less: loop { (a: Element, b) in a < b }
    case .lessOrEqual: loop { (a: Element, b) in a <= b }
    }
  }

  @inline(__always)
  private func loop<Element: NumericElement>(_ apply: @escaping (Element, Element) -> Bool) -> Step {
    let loop = StridedLoop.elementwise([a, b], output)
    let (target, left, right) = (output.pointer, a.pointer, b.pointer)
    return { () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<loop.inner.extent {
          let holds = apply(
            left.load(fromByteOffset: offset[1], as: Element.self),
            right.load(fromByteOffset: offset[2], as: Element.self))
          target.storeBytes(of: holds ? 1 : 0, toByteOffset: offset[0], as: UInt8.self)
          offset = offset &+ loop.inner.strides
        }
      }
    }
  }
}

extension Operator {
  static let comparisons: [Operator] = [
    comparison("Equal", .equal), comparison("Greater", .greater), comparison("Less", .less),
    comparison("GreaterOrEqual", .greaterOrEqual), comparison("LessOrEqual", .lessOrEqual),
  ]

  private static func comparison(_ name: String, _ function: Comparison) -> Operator {
    Operator(
      name, versions: 7...28,
      infer: { node throws(MueError) in
        _ = try node.input(1)
        return try node.broadcastAll(result: .bool)
      },
      prepare: { call throws(MueError) in
        let (a, b) = (try call.input(0), try call.input(1))
        // Bool is 0 or 1 in a byte.
        let type: ElementType = a.type == .bool && function == .equal ? .uint8 : a.type
        return try type.visit(ComparisonVisitor(function: function, a: a, b: b, output: call.output()))
      })
  }
}
