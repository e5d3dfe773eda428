import Tensor

extension Operator {
  static let split = Operator(
    "Split", versions: 2...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: 0), rank: input.shape.count)
      return try splitSizes(node, axis).map { size in
        var shape = input.shape
        shape[axis] = size
        return TensorInfo(input.type, shape)
      }
    },
    prepare: { call throws(MueError) in
      let input = try call.input(0)
      let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: 0), rank: input.shape.count)
      let width = input.type.byteWidth
      let source = StridedLoop.byteStrides(input.shape, width: width)
      var parts: [(copy: StridedCopy, from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer)] = []
      var start = 0
      for output in call.outputs {
        let copy = StridedCopy(
          output.shape, target: StridedLoop.byteStrides(output.shape, width: width), source: source, width: width,
          pool: call.context.pool)
        parts.append((copy, input.pointer + start &* source[axis], output.pointer))
        start += output.shape[axis]
      }
      let all = parts
      return { () throws(MueError) in
        for part in all { try part.copy.run(from: part.from, to: part.to) }
      }
    })

  /// Sizes from the attribute (before 13) or input 1; equal parts otherwise, the last one smaller since opset 18.
  private static func splitSizes(_ node: Inference, _ axis: Int) throws(MueError) -> [Int] {
    let extent = try node.input(0).shape[axis]
    let given: [Int]?
    if node.opset < 13 {
      given = try node.attributes.sizes("split")
    } else {
      given = node.optional(1) == nil ? nil : try node.clampedIntegers(1)
    }
    if let given {
      guard given.count == node.outputCount, given.allSatisfy({ $0 >= 0 && $0 <= extent }), given.reduce(0, +) == extent
      else { throw MueError(.invalidModel, "split \(given) does not cut \(extent) into \(node.outputCount) parts") }
      return given
    }
    let parts = try node.attributes.int("num_outputs", default: node.outputCount)
    guard parts > 0, parts == node.outputCount else {
      throw MueError(.invalidModel, "\(parts) parts for \(node.outputCount) outputs", at: .init(field: "num_outputs"))
    }
    guard node.opset >= 18 || extent % parts == 0 else {
      throw MueError(.invalidModel, "\(extent) cannot be cut into \(parts) equal parts")
    }
    let size = (extent + parts - 1) / parts
    return (0..<parts).map { max(0, min(size, extent - $0 * size)) }
  }
}
