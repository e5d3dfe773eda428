/// Checked arithmetic on dimensions: every size from a file or a caller goes through here, so none can trap.
public enum Shape {
  /// The product of `dimensions`; throws when one is negative or the product overflows.
  public static func elementCount(_ dimensions: some Sequence<Int>) throws(MueError) -> Int {
    var count = 1
    var isEmpty = false
    for dimension in dimensions {
      if dimension < 0 { throw MueError(.invalidArgument, "negative dimension \(dimension)") }
      if dimension == 0 {
        isEmpty = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      if overflow || product > Int(Int32.max) * 1024 {
        throw MueError(.limitExceeded, "a tensor of this shape has too many elements")
      }
      count = product
    }
    return isEmpty ? 0 : count
  }

  /// Bytes of a contiguous tensor.
  public static func byteCount(_ dimensions: [Int], _ type: ElementType) throws(MueError) -> Int {
    // elementCount is at most 2^41, a width at most 8: this product cannot overflow.
    try elementCount(dimensions) * type.byteWidth
  }

  /// Row-major strides in elements.
  public static func strides(_ dimensions: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: dimensions.count)
    for axis in stride(from: dimensions.count - 2, through: 0, by: -1) {
      strides[axis] = strides[axis + 1] &* max(dimensions[axis + 1], 1)
    }
    return strides
  }

  /// `axis` counted from the end when negative; throws when it is out of range.
  public static func normalizedAxis(_ axis: Int, rank: Int) throws(MueError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw MueError(.invalidModel, "axis \(axis) is outside a tensor of rank \(rank)")
    }
    return axis < 0 ? axis + rank : axis
  }

  /// The shape both operands broadcast to (NumPy rules, as ONNX has them).
  public static func broadcast(_ a: [Int], _ b: [Int]) throws(MueError) -> [Int] {
    let rank = max(a.count, b.count)
    var result = [Int](repeating: 1, count: rank)
    for axis in 0..<rank {
      let left = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
      let right = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
      guard left == right || left == 1 || right == 1 else {
        throw MueError(.invalidModel, "shapes \(a) and \(b) do not broadcast")
      }
      result[axis] = left == 1 ? right : left
    }
    return result
  }
}
