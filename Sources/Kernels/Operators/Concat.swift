import Tensor

extension Operator {
  static let concat = Operator(
    "Concat", versions: 4...28,
    infer: { node throws(MueError) in
      let first = try node.input(0)
      guard let given = try node.attributes.int("axis") else { throw MueError(.invalidModel, "no axis is given") }
      let axis = try Shape.normalizedAxis(given, rank: first.shape.count)
      var shape = first.shape
      for index in node.inputs.indices.dropFirst() {
        let next = try node.input(index)
        guard next.type == first.type, next.shape.count == shape.count,
          shape.indices.allSatisfy({ $0 == axis || next.shape[$0] == shape[$0] })
        else {
          throw MueError(
            .invalidModel, "input \(index), \(next.type.name) \(next.shape), does not join \(first.type.name) \(shape)")
        }
        shape[axis] += next.shape[axis]
        _ = try Shape.elementCount(shape)
      }
      return [TensorInfo(first.type, shape)]
    },
    prepare: { call throws(MueError) in
      let output = try call.output()
      let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: 0), rank: output.shape.count)
      let width = output.type.byteWidth
      let target = StridedLoop.byteStrides(output.shape, width: width)
      var parts: [(copy: StridedCopy, from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer)] = []
      var start = 0
      for index in call.inputs.indices {
        let input = try call.input(index)
        let copy = StridedCopy(
          input.shape, target: target, source: StridedLoop.byteStrides(input.shape, width: width), width: width,
          pool: call.context.pool)
        parts.append((copy, input.pointer, output.pointer + start &* target[axis]))
        start += input.shape[axis]
      }
      let all = parts
      return { () throws(MueError) in
        for part in all { try part.copy.run(from: part.from, to: part.to) }
      }
    })
}
