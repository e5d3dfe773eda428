import CMue
import Tensor

extension Tensor {
  /// A copy of the array that a host passed, contiguous and aligned; every number of it is checked.
  init(host tensor: mue_tensor, maximumElements: Int, _ argument: String) throws(MueError) {
    guard let type = ElementType(rawValue: tensor.dtype) else {
      throw .argument(argument, "\(argument).dtype has no value \(tensor.dtype)")
    }
    let rank = Int(tensor.rank)
    guard rank >= 0, rank <= Int(MUE_MAX_RANK) else {
      throw .argument(argument, "\(argument).rank is \(rank) and must be 0 to \(MUE_MAX_RANK)")
    }
    let shape = try Self.integers(tensor.shape, count: rank, "\(argument).shape")
    let count: Int
    do throws(MueError) { count = try Shape.elementCount(shape) } catch {
      throw error.located(.init(argument: "\(argument).shape"))
    }
    guard count <= maximumElements else {
      throw MueError(
        .limitExceeded, "\(argument) has \(count) elements and at most \(maximumElements) are allowed",
        at: .init(argument: argument))
    }
    try self.init(type, shape)
    guard count > 0 else { return }
    guard let data = tensor.data else { throw .argument(argument, "\(argument).data is NULL") }
    let contiguous = Shape.strides(shape).map { $0 * type.byteWidth }
    let strides =
      tensor.strides == nil ? contiguous : try Self.integers(tensor.strides, count: rank, "\(argument).strides")
    if zip(shape, zip(strides, contiguous)).allSatisfy({ $0 == 1 || $1.0 == $1.1 }) {
      pointer.copyMemory(from: data, byteCount: byteCount)
    } else {
      try Self.checkReach(shape, strides, width: type.byteWidth, data, argument)
      copyStrided(from: data, strides: strides)
    }
    // Kernels rely on a truth value being 0 or 1.
    if type == .bool {
      let bytes = UnsafeMutableBufferPointer(start: pointer.assumingMemoryBound(to: UInt8.self), count: count)
      for index in bytes.indices where bytes[index] > 1 { bytes[index] = 1 }
    }
  }

  private static func integers(
    _ pointer: UnsafePointer<Int64>?, count: Int, _ argument: String
  ) throws(MueError) -> [Int] {
    guard count > 0 else { return [] }
    guard let pointer else { throw .argument(argument, "\(argument) is NULL and the rank is \(count)") }
    return (0..<count).map { Int(pointer[$0]) }
  }

  /// Throws when an element's address would leave the address space.
  private static func checkReach(
    _ shape: [Int], _ strides: [Int], width: Int, _ data: UnsafeRawPointer, _ argument: String
  ) throws(MueError) {
    var low = Int(bitPattern: data)
    var high = low
    for (size, stride) in zip(shape, strides) {
      let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
      let (end, leaves) = stride < 0 ? low.addingReportingOverflow(reach) : high.addingReportingOverflow(reach)
      guard !overflow, !leaves else {
        throw .argument("\(argument).strides", "\(argument).strides leave the address space")
      }
      if stride < 0 { low = end } else { high = end }
    }
    let (_, leaves) = high.addingReportingOverflow(width)
    // No processor hands out addresses beyond 57 bits.
    guard low > 0, !leaves, high < 1 << 57 else {
      throw .argument("\(argument).strides", "\(argument).strides leave the address space")
    }
  }

  /// Copies element by element, the last axis fastest.
  private func copyStrided(from data: UnsafeRawPointer, strides: [Int]) {
    let width = type.byteWidth
    let last = shape.count - 1
    var index = [Int](repeating: 0, count: shape.count)
    var source = data
    var target = pointer
    while true {
      for position in 0..<shape[last] {
        target.copyMemory(from: source + position * strides[last], byteCount: width)
        target += width
      }
      var axis = last - 1
      while axis >= 0 {
        index[axis] += 1
        source += strides[axis]
        if index[axis] < shape[axis] { break }
        source -= strides[axis] * shape[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
