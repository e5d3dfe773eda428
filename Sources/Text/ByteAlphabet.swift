/// The 256 printable characters that byte-level vocabularies use in place of bytes (GPT-2's `bytes_to_unicode`):
/// printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and up, in order.
enum ByteAlphabet {
  /// The character for each byte.
  static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0...255).map { (byte: UInt8) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(byte)
      default:
        defer { next += 1 }
        return Unicode.Scalar(next) ?? "\u{FFFD}"
      }
    }
  }()

  /// The byte for each character below U+0144; -1 for the others.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
    return table
  }()

  /// The byte that `scalar` stands for; `nil` for characters outside the alphabet.
  static func byte(for scalar: Unicode.Scalar) -> UInt8? {
    guard scalar.value < 0x144 else { return nil }
    return UInt8(exactly: bytes[Int(scalar.value)])
  }

  /// The bytes a token stands for; the token's own UTF-8 when one of its characters is outside the alphabet.
  static func bytes(of token: String) -> [UInt8] {
    var decoded: [UInt8] = []
    append(token, to: &decoded)
    return decoded
  }

  /// Appends the bytes a token stands for, in the memory that is there.
  static func append(_ token: String, to bytes: inout [UInt8]) {
    let start = bytes.count
    for scalar in token.unicodeScalars {
      guard let byte = byte(for: scalar) else {
        bytes.removeLast(bytes.count - start)
        bytes.append(contentsOf: token.utf8)
        return
      }
      bytes.append(byte)
    }
  }
}
