import CKernels
import Tensor

/// The head of a file of packed weights: where each of them lies and what it must contain.
///
/// Little-endian: `MUEPACK` and a zero byte, the version of the layouts and the number of entries (4 bytes each), then
/// for every entry 48 bytes: digest of source and layout, digest of the packed bytes (16 each), offset, byte count (8
/// each). Packed bytes start at multiples of 4096.
struct PackedIndex {
  struct Entry {
    var content: ContentDigest
    var offset: Int
    var byteCount: Int
  }

  static let magic = Array("MUEPACK\0".utf8)
  static let headBytes = 16
  static let entryBytes = 48
  static let alignment = 4096
  /// More weights than any graph within the node limit has.
  static let maximumCount = 1 << 20

  private(set) var entries: [ContentDigest: Entry] = [:]

  init() {}

  /// How many entries the index has, from its first `headBytes` bytes; nil for another file or another version.
  static func entryCount(_ head: UnsafeRawBufferPointer) -> Int? {
    guard head.count >= headBytes, head.starts(with: magic),
      UInt32(littleEndian: head.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) == UInt32(MK_PACKED_VERSION)
    else { return nil }
    let count = Int(UInt32(littleEndian: head.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    return count <= maximumCount ? count : nil
  }

  /// Takes over what lies inside the file; an entry that does not is left out.
  init(_ bytes: UnsafeRawBufferPointer, fileBytes: Int) {
    func number(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    for start in stride(from: 0, to: bytes.count - Self.entryBytes + 1, by: Self.entryBytes) {
      guard let offset = Int(exactly: number(start + 32)), let byteCount = Int(exactly: number(start + 40)),
        byteCount <= fileBytes, offset <= fileBytes - byteCount
      else { continue }
      entries[ContentDigest(low: number(start), high: number(start + 8))] = Entry(
        content: ContentDigest(low: number(start + 16), high: number(start + 24)), offset: offset, byteCount: byteCount)
    }
  }

  /// The bytes of a file's head for these contents, and where each content goes.
  static func make(_ contents: [(key: ContentDigest, content: ContentDigest, byteCount: Int)]) -> (
    bytes: [UInt8], offsets: [Int]
  ) {
    var bytes = magic
    func append<Number: FixedWidthInteger>(_ number: Number) {
      withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
    append(UInt32(MK_PACKED_VERSION))
    append(UInt32(contents.count))
    var end = headBytes + entryBytes * contents.count
    var offsets: [Int] = []
    for entry in contents {
      let offset = (end + alignment - 1) / alignment * alignment
      offsets.append(offset)
      end = offset + entry.byteCount
      for number in [entry.key.low, entry.key.high, entry.content.low, entry.content.high] { append(number) }
      append(UInt64(offset))
      append(UInt64(entry.byteCount))
    }
    return (bytes, offsets)
  }
}
