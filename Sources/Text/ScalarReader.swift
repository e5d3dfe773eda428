/// Reading Unicode scalars out of UTF-8 bytes, without ever running past their end.
enum ScalarReader {
  /// The scalar that starts at `offset` and its length in bytes. Bytes that are no UTF-8 read as U+FFFD, one at a time.
  @inline(__always)
  static func scalar(in bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> (scalar: Unicode.Scalar, length: Int) {
    let first = bytes[offset]
    if first < 0x80 { return (Unicode.Scalar(first), 1) }
    return multiByteScalar(in: bytes, at: offset)
  }

  private static func multiByteScalar(
    in bytes: UnsafeBufferPointer<UInt8>, at offset: Int
  ) -> (scalar: Unicode.Scalar, length: Int) {
    let first = UInt32(bytes[offset])
    let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    guard first >= 0xC2, bytes.count - offset >= length else { return ("\u{FFFD}", 1) }
    var value = first & (0xFF >> UInt32(length + 1))
    for position in offset + 1..<offset + length {
      let byte = UInt32(bytes[position])
      guard byte & 0xC0 == 0x80 else { return ("\u{FFFD}", 1) }
      value = value << 6 | byte & 0x3F
    }
    guard let scalar = Unicode.Scalar(value) else { return ("\u{FFFD}", 1) }
    return (scalar, length)
  }

  /// Where the scalar that ends before `end` starts.
  static func start(ofScalarBefore end: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var start = end - 1
    while start > 0, bytes[start] & 0xC0 == 0x80, end - start < 4 { start -= 1 }
    return start
  }
}

extension [UInt8] {
  /// Appends the UTF-8 bytes of a scalar.
  mutating func append(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      append(UInt8(truncatingIfNeeded: scalar.value))
    } else {
      for unit in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { append(unit) }
    }
  }
}
