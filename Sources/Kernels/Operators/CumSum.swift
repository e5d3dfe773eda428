import Tensor

extension Operator {
  static let cumSum = Operator(
    "CumSum", versions: 11...28,
    infer: { node throws(MueError) in
      let (input, axis) = (try node.input(0), try node.input(1))
      try node.require(1, .int64, .int32)
      guard try Shape.elementCount(axis.shape) == 1 else { throw MueError(.invalidModel, "the axis is not one number") }
      return [TensorInfo(input.type, input.shape)]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      return try input.type.visit(
        CumSumVisitor(
          input: input, output: output, axis: IndexReader(call.input(1)),
          exclusive: call.attributes.flag("exclusive"), reverse: call.attributes.flag("reverse")))
    })
}

private struct CumSumVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let axis: IndexReader
  let exclusive: Bool
  let reverse: Bool

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let shape = input.shape
    let total = input.count
    let strides = Shape.strides(shape)
    let width = MemoryLayout<Element>.stride
    return { [self] () throws(MueError) in
      let axis = try self.axis.index(0, below: shape.count)
      let (extent, inner) = (shape[axis], strides[axis])
      guard total > 0 else { return }
      for block in 0..<total / (extent &* inner) {
        for column in 0..<inner {
          var sum = Element.zero
          for step in 0..<extent {
            let position = reverse ? extent &- 1 &- step : step
            let offset = ((block &* extent &+ position) &* inner &+ column) &* width
            let value = input.pointer.load(fromByteOffset: offset, as: Element.self)
            let next = Element.sum(sum, value)
            output.pointer.storeBytes(of: exclusive ? sum : next, toByteOffset: offset, as: Element.self)
            sum = next
          }
        }
      }
    }
  }
}
