import Tensor

extension JSONParser {
  /// A number; whole ones that do not fit `Int` become the nearest `Double`.
  mutating func number() throws(MueError) -> JSONValue {
    let start = offset
    let isNegative = current == UInt8(ascii: "-")
    if isNegative { offset += 1 }
    if current == UInt8(ascii: "0") {
      offset += 1
      if isDigit(current) { throw failure("a number with a leading zero", at: start) }
    } else {
      try digits(of: start)
    }
    var isWhole = true
    if current == UInt8(ascii: ".") {
      isWhole = false
      offset += 1
      try digits(of: start)
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isWhole = false
      offset += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { offset += 1 }
      try digits(of: start)
    }
    if isWhole, let value = wholeNumber(in: start..<offset, isNegative: isNegative) { return .int(value) }
    // Only ASCII digits and signs are left here, so this text is what Double's parser takes, in every locale.
    let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<offset]), as: UTF8.self)
    guard let value = Double(text), value.isFinite else { throw failure("a number out of range", at: start) }
    return .double(value)
  }

  private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

  private mutating func digits(of start: Int) throws(MueError) {
    guard isDigit(current) else { throw failure("a malformed number", at: start) }
    while isDigit(current) { offset += 1 }
  }

  private func wholeNumber(in range: Range<Int>, isNegative: Bool) -> Int? {
    var value = 0
    for position in range {
      let byte = bytes[position]
      if byte == UInt8(ascii: "-") { continue }
      let digit = Int(byte) - 0x30
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (next, carry) =
        isNegative ? scaled.subtractingReportingOverflow(digit) : scaled.addingReportingOverflow(digit)
      if overflow || carry { return nil }
      value = next
    }
    return value
  }
}
