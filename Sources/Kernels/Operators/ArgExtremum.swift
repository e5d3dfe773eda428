import Tensor

/// ArgMax and ArgMin: where the extremum along an axis lies; the first of equals unless `select_last_index`.
extension Operator {
  static let argExtrema: [Operator] = [argExtremum("ArgMax", largest: true), argExtremum("ArgMin", largest: false)]

  private static func argExtremum(_ name: String, largest: Bool) -> Operator {
    Operator(
      name,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: 0), rank: input.shape.count)
        guard input.shape[axis] > 0 else { throw MueError(.invalidModel, "nothing to choose from in \(input.shape)") }
        var shape = input.shape
        if try node.attributes.flag("keepdims", default: true) { shape[axis] = 1 } else { shape.remove(at: axis) }
        return [TensorInfo(.int64, shape)]
      },
      prepare: { call throws(MueError) in
        let input = try call.input(0)
        let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: 0), rank: input.shape.count)
        return try input.type.visit(
          ArgExtremumVisitor(
            input: input, output: call.output(), axis: axis, largest: largest,
            last: call.attributes.flag("select_last_index")))
      })
  }
}

private struct ArgExtremumVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let axis: Int
  let largest: Bool
  let last: Bool

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let extent = input.shape[axis]
    let inner = input.shape[(axis + 1)...].reduce(1, &*)
    let outer = input.shape[..<axis].reduce(1, &*)
    let (source, target, largest, last) = (input.pointer, output.pointer, largest, last)
    return { () throws(MueError) in
      for block in 0..<outer {
        for column in 0..<inner {
          var best = 0
          var bestValue = source.load(
            fromByteOffset: (block &* extent &* inner &+ column) &* MemoryLayout<Element>.stride, as: Element.self)
          for index in 1..<max(extent, 1) {
            let offset = ((block &* extent &+ index) &* inner &+ column) &* MemoryLayout<Element>.stride
            let value = source.load(fromByteOffset: offset, as: Element.self)
            let wins = (largest ? value > bestValue : value < bestValue) || (last && value == bestValue)
            if wins {
              best = index
              bestValue = value
            }
          }
          target.storeBytes(of: Int64(best), toByteOffset: (block &* inner &+ column) &* 8, as: Int64.self)
        }
      }
    }
  }
}
