/// The orientation tag of an EXIF block (CIPA DC-008, tag 0x0112 of the first directory).
enum ExifOrientation {
  /// 1 to 8; 1, upright, when the block has no such tag or is malformed.
  static func value(in exif: UnsafeRawBufferPointer) -> Int {
    guard exif.count >= 8 else { return 1 }
    let isLittleEndian: Bool
    switch (exif[0], exif[1]) {
    case (0x49, 0x49): isLittleEndian = true
    case (0x4D, 0x4D): isLittleEndian = false
    default: return 1
    }
    /// An unsigned number of `size` bytes; `nil` beyond the end.
    func number(at offset: Int, size: Int) -> Int? {
      guard offset >= 0, size <= exif.count, offset <= exif.count - size else { return nil }
      return (0..<size).reduce(0) { value, index in
        value << 8 | Int(exif[offset + (isLittleEndian ? size - 1 - index : index)])
      }
    }
    guard number(at: 2, size: 2) == 42, let directory = number(at: 4, size: 4),
      let count = number(at: directory, size: 2)
    else { return 1 }
    for index in 0..<count {
      let entry = directory + 2 + index * 12
      guard let tag = number(at: entry, size: 2) else { return 1 }
      if tag != 0x0112 { continue }
      // Type 3 is a 16-bit number, which stands in the first two bytes of the field.
      guard number(at: entry + 2, size: 2) == 3, let value = number(at: entry + 8, size: 2),
        (1...8).contains(value)
      else { return 1 }
      return value
    }
    return 1
  }
}
