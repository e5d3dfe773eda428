import Tensor

extension Operator {
  /// start, start + delta, ... below limit. The three inputs decide the size, so they must be known when planning.
  static let range = Operator(
    "Range", versions: 11...28,
    infer: { node throws(MueError) in
      let start = try node.input(0)
      for index in 1...2 {
        guard try node.input(index).type == start.type else {
          throw MueError(.invalidModel, "start, limit and delta differ in type")
        }
      }
      let count = try start.type.visit(
        RangeCounter(start: start.constant, limit: node.input(1).constant, delta: node.input(2).constant))
      return [TensorInfo(start.type, [count])]
    },
    prepare: { call throws(MueError) in
      let (start, delta, output) = (try call.input(0), try call.input(2), try call.output())
      return try output.type.visit(RangeWriter(start: start.pointer, delta: delta.pointer, output: output))
    })
}

private struct RangeCounter: NumericVisitor {
  let start: Tensor?
  let limit: Tensor?
  let delta: Tensor?

  func visit<Element: NumericElement>(_: Element.Type) throws(MueError) -> Int {
    guard let start, let limit, let delta else {
      throw MueError(.unsupported, "the inputs decide a shape but depend on data")
    }
    guard start.count == 1, limit.count == 1, delta.count == 1 else {
      throw MueError(.invalidModel, "start, limit and delta must be single numbers")
    }
    // Double is exact for every integer below 2^53, more than any tensor's size.
    let from = start.pointer.loadUnaligned(as: Element.self).asDouble
    let to = limit.pointer.loadUnaligned(as: Element.self).asDouble
    let step = delta.pointer.loadUnaligned(as: Element.self).asDouble
    guard step != 0, from.isFinite, to.isFinite, step.isFinite else {
      throw MueError(.invalidModel, "no range from \(from) to \(to) by \(step)")
    }
    let count = ((to - from) / step).rounded(.up)
    guard count < 0x1p41 else { throw MueError(.limitExceeded, "a range of \(count) elements") }
    return count > 0 ? Int(count) : 0
  }
}

private struct RangeWriter: NumericVisitor {
  let start: UnsafeMutableRawPointer
  let delta: UnsafeMutableRawPointer
  let output: Operand

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (start, delta, count, target) = (start, delta, output.count, output.pointer)
    return { () throws(MueError) in
      var value = start.load(as: Element.self)
      let step = delta.load(as: Element.self)
      for index in 0..<count {
        target.storeBytes(of: value, toByteOffset: index &* MemoryLayout<Element>.stride, as: Element.self)
        value = Element.sum(value, step)
      }
    }
  }
}
