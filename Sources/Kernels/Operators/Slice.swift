import Tensor

extension Operator {
  static let slices: [Operator] = [
    Operator(
      "Slice", versions: 10...28,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let axes = node.optional(3) == nil ? nil : try node.clampedIntegers(3)
        let steps = node.optional(4) == nil ? nil : try node.clampedIntegers(4)
        let cut = try SliceRange(
          input.shape, starts: node.clampedIntegers(1), ends: node.clampedIntegers(2), axes: axes, steps: steps)
        return [TensorInfo(input.type, cut.shape)]
      },
      prepare: { call throws(MueError) in
        let axes = call.optional(3) == nil ? nil : try call.clampedIntegers(3)
        let steps = call.optional(4) == nil ? nil : try call.clampedIntegers(4)
        let cut = try SliceRange(
          call.input(0).shape, starts: call.clampedIntegers(1), ends: call.clampedIntegers(2), axes: axes, steps: steps)
        return try cut.step(call)
      }),
    Operator(
      "Slice", versions: 1...9,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        return [TensorInfo(input.type, try SliceRange(input.shape, attributes: node.attributes).shape)]
      },
      prepare: { call throws(MueError) in
        try SliceRange(call.input(0).shape, attributes: call.attributes).step(call)
      }),
  ]
}

/// Which elements a slice takes along every axis.
private struct SliceRange {
  var shape: [Int]
  private var starts: [Int]
  private var steps: [Int]

  init(_ input: [Int], attributes: Attributes) throws(MueError) {
    guard let starts = try attributes.ints("starts"), let ends = try attributes.ints("ends") else {
      throw MueError(.invalidModel, "no starts or ends are given")
    }
    try self.init(
      input, starts: starts.map { $0.clamped }, ends: ends.map { $0.clamped }, axes: attributes.ints("axes"), steps: nil
    )
  }

  init(_ input: [Int], starts: [Int], ends: [Int], axes: [Int]?, steps: [Int]?) throws(MueError) {
    let axes = axes ?? Array(starts.indices)
    let given = steps ?? [Int](repeating: 1, count: starts.count)
    guard ends.count == starts.count, axes.count == starts.count, given.count == starts.count else {
      throw MueError(.invalidModel, "starts, ends, axes and steps differ in length")
    }
    shape = input
    self.starts = [Int](repeating: 0, count: input.count)
    self.steps = [Int](repeating: 1, count: input.count)
    var seen = Set<Int>()
    for index in starts.indices {
      let axis = try Shape.normalizedAxis(axes[index], rank: input.count)
      guard seen.insert(axis).inserted else { throw MueError(.invalidModel, "axis \(axis) is sliced twice") }
      let (extent, step) = (input[axis], given[index])
      guard step != 0 else { throw MueError(.invalidModel, "the step along axis \(axis) is 0") }
      var start = starts[index] < 0 ? starts[index] + extent : starts[index]
      var end = ends[index] < 0 ? ends[index] + extent : ends[index]
      if step > 0 {
        start = min(max(start, 0), extent)
        end = min(max(end, 0), extent)
        shape[axis] = end > start ? (end - start - 1) / step + 1 : 0
      } else {
        start = min(max(start, -1), extent - 1)
        end = min(max(end, -1), extent - 1)
        shape[axis] = start > end ? (start - end - 1) / -step + 1 : 0
      }
      self.starts[axis] = start
      self.steps[axis] = step
    }
  }

  func step(_ call: Call) throws(MueError) -> Step {
    let (input, output) = (try call.input(0), try call.output())
    let width = input.type.byteWidth
    let source = StridedLoop.byteStrides(input.shape, width: width)
    var offset = 0
    for axis in starts.indices where shape[axis] > 0 { offset &+= starts[axis] &* source[axis] }
    let copy = StridedCopy(
      shape, target: StridedLoop.byteStrides(shape, width: width),
      source: source.indices.map { source[$0] &* steps[$0] }, width: width, pool: call.context.pool)
    let from = input.pointer
    return { () throws(MueError) in try copy.run(from: from + offset, to: output.pointer) }
  }
}
