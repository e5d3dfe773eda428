import Tensor

/// A loop over a shape that up to four tensors walk together, each with its own strides: dimensions of one element are
/// dropped and neighbours merged, so that most broadcasts end as one or two levels with a long inner run.
///
/// Strides are in bytes. Operand 0 is the output by convention. Running allocates nothing.
struct StridedLoop {
  struct Level: Equatable {
    var extent: Int
    var strides: SIMD4<Int>
  }

  /// Outermost first; empty when the inner run is everything.
  private(set) var outer: [Level] = []
  /// The innermost run.
  private(set) var inner = Level(extent: 1, strides: .zero)
  private(set) var isEmpty = false

  /// - Parameters:
  ///   - shape: the extents to walk, outermost first.
  ///   - strides: for each operand the byte stride of each dimension of `shape` (0 where it is broadcast).
  init(_ shape: [Int], strides operands: [[Int]]) {
    var levels: [Level] = []
    for axis in shape.indices {
      if shape[axis] == 0 { isEmpty = true }
      if shape[axis] == 1 { continue }
      var strides = SIMD4<Int>.zero
      for operand in operands.indices { strides[operand] = operands[operand][axis] }
      if let last = levels.last, last.strides == strides &* SIMD4(repeating: shape[axis]) {
        levels[levels.count - 1] = Level(extent: last.extent &* shape[axis], strides: strides)
      } else {
        levels.append(Level(extent: shape[axis], strides: strides))
      }
    }
    if let last = levels.popLast() { inner = last }
    outer = levels
  }

  /// Calls `body` with the byte offset of each operand, once for every inner run.
  @inline(__always)
  func run(_ body: (SIMD4<Int>) throws(MueError) -> Void) throws(MueError) {
    if isEmpty { return }
    if outer.isEmpty { return try body(.zero) }
    try descend(0, .zero, body)
  }

  private func descend(
    _ level: Int, _ start: SIMD4<Int>, _ body: (SIMD4<Int>) throws(MueError) -> Void
  ) throws(MueError) {
    let strides = outer[level].strides
    var offsets = start
    for _ in 0..<outer[level].extent {
      if level == outer.count - 1 { try body(offsets) } else { try descend(level + 1, offsets, body) }
      offsets = offsets &+ strides
    }
  }

  /// All levels with the inner run, outermost first: extents, and one operand's strides in elements of `width` bytes.
  var extents: [Int] { outer.map(\.extent) + [inner.extent] }
  func elementStrides(_ operand: Int, width: Int) -> [Int] { (outer + [inner]).map { $0.strides[operand] / width } }

  /// The byte strides of a contiguous tensor of `shape` read as `target`: 0 along broadcast dimensions.
  static func broadcastStrides(_ shape: [Int], to target: [Int], width: Int) -> [Int] {
    let own = Shape.strides(shape)
    let missing = target.count - shape.count
    return target.indices.map { axis in
      let position = axis - missing
      return position < 0 || shape[position] == 1 ? 0 : own[position] &* width
    }
  }

  /// The byte strides of a contiguous tensor.
  static func byteStrides(_ shape: [Int], width: Int) -> [Int] { Shape.strides(shape).map { $0 &* width } }
}
