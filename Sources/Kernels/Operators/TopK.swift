import Tensor

extension Operator {
  /// The k largest (or smallest) along an axis, in order; equal elements by index. Unsorted requests are sorted too.
  static let topK = Operator(
    "TopK", versions: 10...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: -1), rank: input.shape.count)
      let k = try node.clampedIntegers(1)
      guard k.count == 1, let k = k.first, k >= 0, k <= input.shape[axis] else {
        throw MueError(.invalidModel, "k \(k) does not fit dimension \(axis) of \(input.shape)")
      }
      var shape = input.shape
      shape[axis] = k
      return [TensorInfo(input.type, shape), TensorInfo(.int64, shape)]
    },
    prepare: { call throws(MueError) in
      let input = try call.input(0)
      let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: -1), rank: input.shape.count)
      let values = try call.output()
      // The heap lives in the second output; without one, in scratch.
      let indices = call.outputs.count > 1 ? call.outputs[1].pointer : nil
      if indices == nil { try call.scratch.reserve(values.count &* 8) }
      return try input.type.visit(
        TopKVisitor(
          input: input, values: values, indices: indices, scratch: call.scratch, axis: axis,
          largest: call.attributes.flag("largest", default: true)))
    })
}

private struct TopKVisitor: NumericVisitor {
  let input: Operand
  let values: Operand
  let indices: UnsafeMutableRawPointer?
  let scratch: Scratch
  let axis: Int
  let largest: Bool

  /// Keeps the best so far in the output, as a heap whose root is the worst of them; then sorts the heap in place.
  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let extent = input.shape[axis]
    let k = values.shape[axis]
    let inner = input.shape[(axis + 1)...].reduce(1, &*)
    let outer = input.shape[..<axis].reduce(1, &*)
    let (source, largest) = (input.pointer, largest)
    let (values, given, scratch) = (values.pointer, indices, scratch)
    return { () throws(MueError) in
      guard k > 0, let indices = given ?? scratch.base else { return }
      for block in 0..<outer {
        for column in 0..<inner {
          let line = Line<Element>(
            source: source, start: block &* extent &* inner &+ column, indices: indices,
            heapStart: block &* k &* inner &+ column, stride: inner, largest: largest)
          for index in 0..<k {
            line.set(index, index)
          }
          for root in stride(from: k / 2 - 1, through: 0, by: -1) { line.sink(root, count: k) }
          for index in k..<max(extent, k) where line.isBetter(index, line.get(0)) {
            line.set(0, index)
            line.sink(0, count: k)
          }
          for end in stride(from: k - 1, to: 0, by: -1) {
            let worst = line.get(0)
            line.set(0, line.get(end))
            line.set(end, worst)
            line.sink(0, count: end)
          }
          for rank in 0..<k {
            let offset = (line.heapStart &+ rank &* inner) &* MemoryLayout<Element>.stride
            values.storeBytes(of: line.value(line.get(rank)), toByteOffset: offset, as: Element.self)
          }
        }
      }
    }
  }

  /// One line along the axis, with its heap of indices in the output.
  private struct Line<Element: NumericElement> {
    let source: UnsafeMutableRawPointer
    let start: Int
    let indices: UnsafeMutableRawPointer
    let heapStart: Int
    let stride: Int
    let largest: Bool

    func value(_ index: Int) -> Element {
      source.load(fromByteOffset: (start &+ index &* stride) &* MemoryLayout<Element>.stride, as: Element.self)
    }
    func get(_ slot: Int) -> Int {
      Int(indices.load(fromByteOffset: (heapStart &+ slot &* stride) &* 8, as: Int64.self))
    }
    func set(_ slot: Int, _ index: Int) {
      indices.storeBytes(of: Int64(index), toByteOffset: (heapStart &+ slot &* stride) &* 8, as: Int64.self)
    }
    func isBetter(_ a: Int, _ b: Int) -> Bool {
      let (x, y) = (value(a), value(b))
      if x.isNotANumber || y.isNotANumber { return x.isNotANumber == y.isNotANumber ? a < b : y.isNotANumber }
      return x == y ? a < b : (x > y) == largest
    }
    func sink(_ root: Int, count: Int) {
      var parent = root
      while true {
        var worst = parent
        for child in (2 &* parent &+ 1)...(2 &* parent &+ 2) where child < count && isBetter(get(worst), get(child)) {
          worst = child
        }
        if worst == parent { return }
        let moved = get(parent)
        set(parent, get(worst))
        set(worst, moved)
        parent = worst
      }
    }
  }
}
