import Tensor

/// Writes the numbers of a tensor's list field into memory of the tensor's type; a number out of the type's range is an
/// error. 16-bit floats stand in `int32_data` as their bits.
struct ElementWriter {
  private let tensor: Tensor
  private var index = 0

  init(_ tensor: Tensor) {
    self.tensor = tensor
  }

  /// Takes the elements of the reader's current field.
  mutating func append(_ reader: inout WireReader) throws(MueError) {
    let offset = reader.fieldOffset
    switch tensor.type {
    case .float32: try reader.forEachFixed32 { (bits) throws(MueError) in try store(bits, offset) }
    case .float64: try reader.forEachFixed64 { (bits) throws(MueError) in try store(bits, offset) }
    case .int64, .uint64: try reader.forEachInt { (value) throws(MueError) in try store(value, offset) }
    case .bool: try reader.forEachInt { (value) throws(MueError) in try store(UInt8(value == 0 ? 0 : 1), offset) }
    case .int8: try integers(&reader, Int8.self)
    case .uint8: try integers(&reader, UInt8.self)
    case .int16: try integers(&reader, Int16.self)
    case .uint16, .float16, .bfloat16: try integers(&reader, UInt16.self)
    case .int32: try integers(&reader, Int32.self)
    case .uint32: try integers(&reader, UInt32.self)
    }
  }

  private mutating func integers<Element: FixedWidthInteger & BitwiseCopyable>(
    _ reader: inout WireReader, _: Element.Type
  ) throws(MueError) {
    let offset = reader.fieldOffset
    try reader.forEachInt { (value) throws(MueError) in
      guard let element = Element(exactly: value) else {
        throw MueError(
          .invalidModel, "\(value) is outside the range of \(tensor.type.name)", at: .init(byteOffset: offset))
      }
      try store(element, offset)
    }
  }

  private mutating func store<Element: BitwiseCopyable>(_ element: Element, _ offset: Int) throws(MueError) {
    guard index < tensor.count else {
      throw MueError(.invalidModel, "more elements than the shape has", at: .init(byteOffset: offset))
    }
    tensor.pointer.storeBytes(of: element, toByteOffset: index * MemoryLayout<Element>.size, as: Element.self)
    index += 1
  }
}
