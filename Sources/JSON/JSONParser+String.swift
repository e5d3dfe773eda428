import Tensor

extension JSONParser {
  /// A string: escapes decoded, UTF-8 checked, raw control characters and unpaired surrogates refused.
  mutating func string() throws(MueError) -> String {
    let quote = offset
    offset += 1
    let start = offset
    // Most strings have no escape: they are taken over in one piece.
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        let text = try validated(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]), quote: quote)
        offset += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try stringWithEscapes(from: start, quote: quote) }
      if byte < 0x20 { throw failure("a control character inside a string") }
      offset += 1
    }
    throw failure("a string without end", at: quote)
  }

  private func validated(_ text: UnsafeRawBufferPointer, quote: Int) throws(MueError) -> String {
    guard let string = String(validating: text, as: UTF8.self) else {
      throw failure("a string that is not valid UTF-8", at: quote)
    }
    return string
  }

  private mutating func stringWithEscapes(from start: Int, quote: Int) throws(MueError) -> String {
    var decoded = Array(bytes[start..<offset])
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        let result = decoded.withUnsafeBytes { text in
          Result { () throws(MueError) in try validated(text, quote: quote) }
        }
        offset += 1
        return try result.get()
      }
      if byte < 0x20 { throw failure("a control character inside a string") }
      if byte == UInt8(ascii: "\\") {
        let scalar = try escape()
        decoded.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      } else {
        decoded.append(byte)
        offset += 1
      }
    }
    throw failure("a string without end", at: quote)
  }

  private mutating func escape() throws(MueError) -> Unicode.Scalar {
    let backslash = offset
    offset += 1
    let kind = current
    offset += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(kind)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw failure("an unknown escape in a string", at: backslash)
    }
    let first = try fourHexDigits(of: backslash)
    if let scalar = Unicode.Scalar(first) { return scalar }
    // A surrogate: only a high one that is followed by a low one stands for a character.
    guard first < 0xDC00, current == UInt8(ascii: "\\"), offset + 1 < bytes.count,
      bytes[offset + 1] == UInt8(ascii: "u")
    else { throw failure("an unpaired surrogate in a string", at: backslash) }
    offset += 2
    let second = try fourHexDigits(of: backslash)
    guard second >= 0xDC00, second <= 0xDFFF,
      let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw failure("an unpaired surrogate in a string", at: backslash) }
    return scalar
  }

  private mutating func fourHexDigits(of backslash: Int) throws(MueError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = current - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = current - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = current - UInt8(ascii: "A") + 10
      default: throw failure("a malformed \\u escape in a string", at: backslash)
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }
}
