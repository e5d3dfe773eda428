import Tensor

/// Reads one protobuf message: a range of the file's bytes that no read can leave.
///
/// `next()` moves to a field and sets `number`; the caller then takes the value with exactly one of the typed reads, or
/// `skip()`. Offsets are absolute, since every reader shares the file's base address. A known field of another wire
/// type than its own is an error here (protobuf would skip it): in a model that is corruption.
///
/// Source: https://protobuf.dev/programming-guides/encoding/
struct WireReader {
  enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5
  }

  private let base: UnsafeRawPointer
  private(set) var position: Int
  let end: Int
  /// Field number of the current field.
  private(set) var number = 0
  private var type = WireType.varint
  /// Where the current field's tag begins.
  private(set) var fieldOffset: Int

  /// The caller keeps `base..<base + end` valid while the reader and those made from it are in use.
  init(base: UnsafeRawPointer, start: Int, end: Int) {
    self.base = base
    self.position = start
    self.end = end
    self.fieldOffset = start
  }

  /// Bytes that are left.
  var remaining: Int { end - position }

  /// Moves to the next field; false at the end of the message.
  mutating func next() throws(MueError) -> Bool {
    if position == end { return false }
    fieldOffset = position
    let tag = try varint()
    guard tag <= UInt64(UInt32.max), tag >> 3 != 0 else {
      throw invalid("\(tag) is not a protobuf field tag")
    }
    number = Int(tag >> 3)
    guard let type = WireType(rawValue: UInt8(tag & 7)) else {
      throw invalid(
        tag & 7 == 3 || tag & 7 == 4
          ? "field \(number) is a protobuf group, which ONNX does not use" : "field \(number) has wire type \(tag & 7)")
    }
    self.type = type
    return true
  }

  /// Passes over the current field.
  mutating func skip() throws(MueError) {
    switch type {
    case .varint: _ = try varint()
    case .fixed64: try advance(8)
    case .bytes: _ = try payload()
    case .fixed32: try advance(4)
    }
  }

  /// An `int64` or enum field.
  mutating func int() throws(MueError) -> Int {
    try expect(.varint)
    return Int(truncatingIfNeeded: try varint())
  }

  /// An `int32` field; a value outside 32 bits is an error.
  mutating func int32() throws(MueError) -> Int32 {
    guard let value = Int32(exactly: try int()) else { throw invalid("a 32-bit integer overflows") }
    return value
  }

  /// A `float` field.
  mutating func float() throws(MueError) -> Float {
    try expect(.fixed32)
    return Float(bitPattern: try fixed(UInt32.self))
  }

  /// An embedded message, or the range of a `bytes` field.
  mutating func message() throws(MueError) -> WireReader {
    try expect(.bytes)
    return try payload()
  }

  /// A `string` field of at most `limit` bytes, which must be UTF-8.
  mutating func string(limit: Int) throws(MueError) -> String {
    let bytes = try message()
    guard let string = try bytes.text(limit: limit) else { throw invalid("the string is not UTF-8") }
    return string
  }

  /// Everything that is left as text; nil when it is not UTF-8.
  func text(limit: Int) throws(MueError) -> String? {
    guard remaining <= limit else {
      throw MueError(
        .limitExceeded, "a string of \(remaining) bytes; the limit is \(limit)", at: .init(byteOffset: position))
    }
    guard remaining > 0 else { return "" }
    let bytes = UnsafeRawBufferPointer(start: base + position, count: remaining)
    // Nearly all names are ASCII, which needs no validation; the validating initialiser costs several times as much.
    let merged = bytes.reduce(0 as UInt8) { $0 | $1 }
    return merged < 0x80 ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
  }

  /// How many numbers of wire type `element` a repeated field holds here, packed or not; the field is passed over.
  mutating func countElements(_ element: WireType) throws(MueError) -> Int {
    guard type == .bytes else {
      try expect(element)
      try skip()
      return 1
    }
    let list = try payload()
    switch element {
    case .fixed32, .fixed64:
      let width = element == .fixed32 ? 4 : 8
      guard list.remaining % width == 0 else {
        throw invalid("a list of \(list.remaining) bytes cannot hold \(width)-byte numbers")
      }
      return list.remaining / width
    case .varint, .bytes:
      var count = 0
      for offset in list.position..<list.end where base.load(fromByteOffset: offset, as: UInt8.self) < 0x80 {
        count += 1
      }
      return count
    }
  }

  /// Calls `body` for each integer of a repeated field, packed or not.
  mutating func forEachInt(_ body: (Int) throws(MueError) -> Void) throws(MueError) {
    guard type == .bytes else { return try body(int()) }
    var list = try payload()
    while list.position < list.end {
      list.fieldOffset = list.position
      try body(Int(truncatingIfNeeded: try list.varint()))
    }
  }

  /// Calls `body` for each 32-bit number of a repeated field, packed or not, with its bits.
  mutating func forEachFixed32(_ body: (UInt32) throws(MueError) -> Void) throws(MueError) {
    guard type == .bytes else {
      try expect(.fixed32)
      return try body(fixed(UInt32.self))
    }
    var list = try payload()
    while list.position < list.end { try body(list.fixed(UInt32.self)) }
  }

  /// Calls `body` for each 64-bit number of a repeated field, packed or not, with its bits.
  mutating func forEachFixed64(_ body: (UInt64) throws(MueError) -> Void) throws(MueError) {
    guard type == .bytes else {
      try expect(.fixed64)
      return try body(fixed(UInt64.self))
    }
    var list = try payload()
    while list.position < list.end { try body(list.fixed(UInt64.self)) }
  }

  /// An `invalidModel` error at the current field.
  func invalid(_ message: String) -> MueError {
    MueError(.invalidModel, message, at: .init(byteOffset: fieldOffset))
  }

  private func expect(_ expected: WireType) throws(MueError) {
    guard type == expected else {
      throw invalid("field \(number) has protobuf wire type \(type.rawValue) instead of \(expected.rawValue)")
    }
  }

  private mutating func payload() throws(MueError) -> WireReader {
    let length = try varint()
    guard length <= UInt64(remaining) else {
      throw invalid("a field of \(length) bytes in a message that has \(remaining) bytes left")
    }
    let start = position
    position += Int(length)
    return WireReader(base: base, start: start, end: position)
  }

  private mutating func advance(_ count: Int) throws(MueError) {
    guard count <= remaining else { throw invalid("a number is cut off by the end of its message") }
    position += count
  }

  private mutating func fixed<Bits: FixedWidthInteger & BitwiseCopyable>(_: Bits.Type) throws(MueError) -> Bits {
    let start = position
    try advance(MemoryLayout<Bits>.size)
    return Bits(littleEndian: base.loadUnaligned(fromByteOffset: start, as: Bits.self))
  }

  private mutating func varint() throws(MueError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      // The tenth byte has room for bit 63 alone.
      if shift == 63, byte > 1 { throw invalid("a variable-length integer overflows 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw invalid("a variable-length integer is cut off by the end of its message")
  }
}
