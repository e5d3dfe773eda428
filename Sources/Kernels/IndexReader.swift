import Tensor

/// Reads int32 or int64 indices that came with the data, so each is checked when it is used.
struct IndexReader {
  let count: Int
  private let pointer: UnsafeMutableRawPointer
  private let isWide: Bool

  init(_ operand: Operand) throws(MueError) {
    guard operand.type == .int64 || operand.type == .int32 else {
      throw MueError(.invalidModel, "indices of type \(operand.type.name)")
    }
    count = operand.count
    pointer = operand.pointer
    isWide = operand.type == .int64
  }

  @inline(__always)
  func value(_ position: Int) -> Int {
    isWide
      ? Int(pointer.load(fromByteOffset: position &* 8, as: Int64.self))
      : Int(pointer.load(fromByteOffset: position &* 4, as: Int32.self))
  }

  /// The index at `position`, counted from the end when negative; throws when it is outside 0..<extent.
  @inline(__always)
  func index(_ position: Int, below extent: Int) throws(MueError) -> Int {
    let value = value(position)
    guard value >= -extent, value < extent else { throw Self.outside(value, extent) }
    return value < 0 ? value &+ extent : value
  }

  static func outside(_ value: Int, _ extent: Int) -> MueError {
    MueError(.invalidArgument, "index \(value) is outside a dimension of \(extent)")
  }
}
