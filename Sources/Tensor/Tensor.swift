/// A contiguous, row-major, immutable-by-convention array of one element type.
public struct Tensor: Sendable {
  public let type: ElementType
  public let shape: [Int]
  /// Product of `shape`.
  public let count: Int
  public let buffer: Buffer
  /// Where the first element is in `buffer`; borrowed data may be unaligned.
  public let byteOffset: Int

  /// A view of `buffer`; throws when the shape does not fit.
  public init(_ type: ElementType, _ shape: [Int], buffer: Buffer, byteOffset: Int = 0) throws(MueError) {
    let count = try Shape.elementCount(shape)
    guard byteOffset >= 0, byteOffset <= buffer.byteCount,
      count * type.byteWidth <= buffer.byteCount - byteOffset
    else {
      throw MueError(
        .invalidArgument, "a \(type.name) tensor of shape \(shape) does not fit its \(buffer.byteCount) bytes")
    }
    self.type = type
    self.shape = shape
    self.count = count
    self.buffer = buffer
    self.byteOffset = byteOffset
  }

  /// Uninitialised memory of its own.
  public init(_ type: ElementType, _ shape: [Int]) throws(MueError) {
    let bytes = try Shape.byteCount(shape, type)
    try self.init(type, shape, buffer: Buffer(byteCount: bytes))
  }

  /// A tensor with the given elements; the element's Swift type must have the width of `type`.
  public init<Element: BitwiseCopyable>(_ type: ElementType, _ shape: [Int], _ elements: [Element]) throws(MueError) {
    try self.init(type, shape)
    guard elements.count == count, MemoryLayout<Element>.stride == type.byteWidth else {
      throw MueError(.invalidArgument, "\(elements.count) elements do not make a \(type.name) tensor of shape \(shape)")
    }
    elements.withUnsafeBytes { source in
      if let from = source.baseAddress { pointer.copyMemory(from: from, byteCount: source.count) }
    }
  }

  public var pointer: UnsafeMutableRawPointer { buffer.base + byteOffset }
  public var byteCount: Int { count * type.byteWidth }

  /// The elements, copied out (also from unaligned memory); the Swift type must have the width of `type`.
  public func elements<Element: BitwiseCopyable>(as _: Element.Type) throws(MueError) -> [Element] {
    guard MemoryLayout<Element>.stride == type.byteWidth else {
      throw MueError(.invalidArgument, "elements of a \(type.name) tensor have \(type.byteWidth) bytes")
    }
    return [Element](unsafeUninitializedCapacity: count) { target, initialized in
      if let to = target.baseAddress { UnsafeMutableRawPointer(to).copyMemory(from: pointer, byteCount: byteCount) }
      initialized = count
    }
  }

  /// The same elements under another shape of the same count.
  public func reshaped(_ shape: [Int]) throws(MueError) -> Tensor {
    guard try Shape.elementCount(shape) == count else {
      throw MueError(.invalidArgument, "cannot reshape \(self.shape) to \(shape)")
    }
    return try Tensor(type, shape, buffer: buffer, byteOffset: byteOffset)
  }
}
