import CMue
import JSON
import Tensor

/// An array from a NumPy file (format 1, 2 or 3). Source: numpy.lib.format.
struct NumPyArray {
  let type: ElementType
  let shape: [Int]
  /// Bytes between neighbours on each axis.
  let strides: [Int]
  private let buffer: Buffer
  private let offset: Int

  /// The first element.
  var data: UnsafeRawPointer { UnsafeRawPointer(buffer.base + offset) }

  /// Larger files are refused.
  private static let maximumBytes = 1 << 36

  init(path: String) throws(CommandFailure) {
    let buffer = try converting { () throws(MueError) in
      try FileReader.bytes(path: path, limit: Self.maximumBytes)
    }
    try self.init(buffer, file: path)
  }

  init(_ buffer: Buffer, file: String) throws(CommandFailure) {
    func broken(_ what: String) -> CommandFailure { CommandFailure("\(file) is no NumPy file: \(what)") }
    let bytes = UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount)
    guard bytes.count >= 12, bytes[0] == 0x93, bytes[1...5].elementsEqual("NUMPY".utf8), (1...3).contains(bytes[6])
    else { throw broken("the first bytes are wrong") }
    let isLong = bytes[6] > 1
    let headerStart = isLong ? 12 : 10
    var headerLength = Int(bytes[8]) | Int(bytes[9]) << 8
    if isLong { headerLength |= Int(bytes[10]) << 16 | Int(bytes[11]) << 24 }
    guard headerLength <= bytes.count - headerStart else { throw broken("the header is cut off") }
    let header = NumPyHeader(bytes[headerStart..<(headerStart + headerLength)])
    guard let header else { throw broken("the header cannot be read") }
    guard let type = Self.types.first(where: { $0.descriptor == header.descriptor })?.type else {
      throw CommandFailure("\(file) has elements of type '\(header.descriptor)', which MuE does not take")
    }
    let needed: Int
    do throws(MueError) { needed = try Shape.byteCount(header.shape, type) } catch {
      throw broken(error.message)
    }
    guard needed <= bytes.count - headerStart - headerLength else { throw broken("the elements are cut off") }
    self.type = type
    shape = header.shape
    // The strides of a Fortran array are those of the reversed shape, reversed.
    strides =
      (header.isFortran ? Shape.strides(shape.reversed()).reversed() : Shape.strides(shape)).map { $0 * type.byteWidth }
    self.buffer = buffer
    offset = headerStart + headerLength
  }

  /// The bytes of a file for a C-contiguous tensor.
  static func encode(_ tensor: mue_tensor) throws(CommandFailure) -> [UInt8] {
    guard let type = ElementType(rawValue: tensor.dtype),
      let descriptor = types.first(where: { $0.type == type })?.descriptor
    else { throw CommandFailure("NumPy has no element type for \(text(tensor.name) ?? "a tensor")") }
    let shape = (0..<Int(tensor.rank)).map { Int(tensor.shape[$0]) }
    let list = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var header = "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(list)), }"
    // Magic, version and length take 10 bytes; the elements start at a multiple of 64, behind a line feed.
    header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
    bytes += [UInt8(header.utf8.count & 255), UInt8(header.utf8.count >> 8 & 255)] + Array(header.utf8)
    let count = try converting { () throws(MueError) in try Shape.byteCount(shape, type) }
    if let data = tensor.data { bytes += UnsafeRawBufferPointer(start: data, count: count) }
    return bytes
  }

  private static let types: [(descriptor: String, type: ElementType)] = [
    ("<f4", .float32), ("<f8", .float64), ("<f2", .float16), ("|b1", .bool), ("|i1", .int8), ("|u1", .uint8),
    ("<i2", .int16), ("<u2", .uint16), ("<i4", .int32), ("<u4", .uint32), ("<i8", .int64), ("<u8", .uint64),
  ]
}

/// The header's Python dictionary: 'descr', 'fortran_order' and 'shape'.
private struct NumPyHeader {
  let descriptor: String
  let isFortran: Bool
  let shape: [Int]

  init?(_ bytes: some Sequence<UInt8>) {
    let text = String(decoding: Array(bytes), as: UTF8.self)
    guard let descriptor = Self.value(of: "descr", in: text), descriptor.first == "'" || descriptor.first == "\"",
      let order = Self.value(of: "fortran_order", in: text),
      let list = Self.value(of: "shape", in: text), list.first == "("
    else { return nil }
    let quote = descriptor[descriptor.startIndex]
    self.descriptor = String(descriptor.dropFirst().prefix { $0 != quote })
    if order.hasPrefix("True") {
      isFortran = true
    } else if order.hasPrefix("False") {
      isFortran = false
    } else {
      return nil
    }
    guard list.contains(")") else { return nil }
    var shape: [Int] = []
    for part in list.dropFirst().prefix(while: { $0 != ")" }).split(separator: ",") {
      let digits = part.filter { $0 != " " }
      if digits.isEmpty { continue }
      guard let size = Int(digits), size >= 0 else { return nil }
      shape.append(size)
    }
    guard shape.count <= 32 else { return nil }
    self.shape = shape
  }

  /// What follows "'key':".
  private static func value(of key: String, in text: String) -> Substring? {
    for quoted in ["'\(key)':", "\"\(key)\":"] {
      guard var rest = rest(of: text, behind: quoted) else { continue }
      rest = rest.drop { $0 == " " }
      return rest
    }
    return nil
  }

  private static func rest(of text: String, behind needle: String) -> Substring? {
    var rest = Substring(text)
    while !rest.isEmpty {
      if rest.hasPrefix(needle) { return rest.dropFirst(needle.count) }
      rest = rest.dropFirst()
    }
    return nil
  }
}
