/// What the GPT-2 pattern tells apart.
enum TextClass: UInt8 {
  case space
  case letter
  case number
  case other
}

/// The `tokenizers` package knows Unicode 16 in its patterns and Unicode 9 in its normalizers, the standard library a
/// later version: characters that came after those are what the package takes them for, unassigned.
extension Unicode.Scalar {
  /// `\p{L}`, `\p{N}`, `\s` (White_Space) or anything else.
  @inline(__always)
  var textClass: TextClass {
    if isASCII { return asciiClass }
    if properties.isWhitespace { return .space }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return isInUnicode(16) ? .letter : .other
    case .decimalNumber, .letterNumber, .otherNumber: return isInUnicode(16) ? .number : .other
    default: return .other
    }
  }

  @inline(__always)
  private var asciiClass: TextClass {
    switch value {
    case 0x61...0x7A, 0x41...0x5A: .letter
    case 0x30...0x39: .number
    case 0x20, 0x09...0x0D: .space
    default: .other
    }
  }

  private func isInUnicode(_ version: Int) -> Bool {
    properties.age.map { $0.major <= version } ?? false
  }

  private var hasMarkCategory: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }

  /// What `StripAccents` strips. Three characters have changed category since Unicode 9.
  var isAccent: Bool {
    switch value {
    case 0x1CF2, 0x1CF3: true
    case 0x111C9: false
    default: hasMarkCategory && isInUnicode(9)
    }
  }

  /// Whether NFC and NFD do anything with it.
  var isNormalizable: Bool { isASCII || isInUnicode(9) }

  /// `\w` as Rust's `regex` has it (UTS #18, annex C).
  var isWordCharacter: Bool {
    if isASCII { return asciiClass == .letter || asciiClass == .number || value == 0x5F }
    let category = properties.generalCategory
    return
      (properties.isAlphabetic || properties.isJoinControl || hasMarkCategory || category == .decimalNumber
      || category == .connectorPunctuation) && isInUnicode(16)
  }
}
