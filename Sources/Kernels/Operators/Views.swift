import Tensor

/// Operators whose output is their input under another shape: the planner shares the memory and runs nothing.
extension Operator {
  static let views: [Operator] = [
    view("Identity") { node throws(MueError) in try node.input(0).shape },
    view("Reshape", versions: 5...28) { node throws(MueError) in try reshaped(node) },
    view("Flatten") { node throws(MueError) in
      let shape = try node.input(0).shape
      let axis = try node.attributes.int("axis", default: 1)
      guard axis >= -shape.count, axis <= shape.count else {
        throw MueError(.invalidModel, "axis \(axis) is outside a tensor of rank \(shape.count)")
      }
      let split = axis < 0 ? axis + shape.count : axis
      return [try Shape.elementCount(shape[..<split]), try Shape.elementCount(shape[split...])]
    },
    view("Squeeze") { node throws(MueError) in try squeezed(node) },
    view("Unsqueeze") { node throws(MueError) in try unsqueezed(node) },
  ]

  static func view(
    _ name: String, versions: ClosedRange<Int> = 1...28,
    _ shape: @escaping @Sendable (Inference) throws(MueError) -> [Int]
  ) -> Operator {
    Operator(
      name, versions: versions, isView: true,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let shape = try shape(node)
        return [TensorInfo(input.type, shape, constant: try input.constant?.reshaped(shape))]
      },
      prepare: { call throws(MueError) in try copyStep(call) })
  }

  /// Input 0's bytes to output 0: what a view does when it may not share memory.
  static func copyStep(_ call: Call) throws(MueError) -> Step {
    let (input, output) = (try call.input(0), try call.output())
    let bytes = output.count &* output.type.byteWidth
    return { () throws(MueError) in
      if output.pointer != input.pointer { output.pointer.copyMemory(from: input.pointer, byteCount: bytes) }
    }
  }

  /// 0 keeps a dimension (unless `allowzero`), one -1 takes what is left.
  private static func reshaped(_ node: Inference) throws(MueError) -> [Int] {
    let input = try node.input(0)
    var shape = try node.clampedIntegers(1)
    let allowsZero = try node.attributes.flag("allowzero")
    var open: Int?
    for axis in shape.indices {
      if shape[axis] == -1 {
        guard open == nil else { throw MueError(.invalidModel, "more than one dimension of \(shape) is -1") }
        open = axis
      } else if shape[axis] == 0, !allowsZero {
        guard axis < input.shape.count else {
          throw MueError(.invalidModel, "dimension \(axis) is kept, but the input has rank \(input.shape.count)")
        }
        shape[axis] = input.shape[axis]
      }
    }
    let count = try Shape.elementCount(input.shape)
    if let open {
      shape[open] = 1
      let known = try Shape.elementCount(shape)
      guard known > 0 ? count % known == 0 : count == 0 else {
        throw MueError(.invalidModel, "\(input.shape) does not reshape to \(shape) with dimension \(open) open")
      }
      shape[open] = known > 0 ? count / known : 0
    }
    guard try Shape.elementCount(shape) == count else {
      throw MueError(.invalidModel, "\(input.shape) does not reshape to \(shape)")
    }
    return shape
  }

  /// Axes from the attribute before opset 13, from input 1 since; nil when not given.
  private static func viewAxes(_ node: Inference) throws(MueError) -> [Int]? {
    if node.opset < 13 { return try node.attributes.ints("axes") }
    return node.optional(1) == nil ? nil : try node.integers(1)
  }

  private static func squeezed(_ node: Inference) throws(MueError) -> [Int] {
    let shape = try node.input(0).shape
    guard let axes = try viewAxes(node) else { return shape.filter { $0 != 1 } }
    var dropped = Set<Int>()
    for axis in axes {
      let axis = try Shape.normalizedAxis(axis, rank: shape.count)
      guard shape[axis] == 1 else {
        throw MueError(.invalidModel, "dimension \(axis) of \(shape) is not 1")
      }
      dropped.insert(axis)
    }
    return shape.indices.filter { !dropped.contains($0) }.map { shape[$0] }
  }

  private static func unsqueezed(_ node: Inference) throws(MueError) -> [Int] {
    let shape = try node.input(0).shape
    guard let axes = try viewAxes(node) else { throw MueError(.invalidModel, "no axes are given") }
    guard axes.count <= 64 else { throw MueError(.limitExceeded, "\(axes.count) axes") }
    let rank = shape.count + axes.count
    var added = Set<Int>()
    for axis in axes {
      guard added.insert(try Shape.normalizedAxis(axis, rank: rank)).inserted else {
        throw MueError(.invalidModel, "axis \(axis) is given twice")
      }
    }
    var rest = shape.makeIterator()
    return (0..<rank).map { added.contains($0) ? 1 : rest.next() ?? 1 }
  }
}
