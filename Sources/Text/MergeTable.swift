/// Which pairs of tokens merge, into what and how early: a hash table with open addressing, read in the innermost
/// loop of the encoder.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    var rank: UInt32
    var newID: Int32
  }

  private static let empty = UInt64.max
  private var keys: [UInt64]
  private var merges: [Merge]
  private let mask: Int
  private let shift: UInt64

  /// Room for `capacity` pairs.
  init(capacity: Int) {
    var bits = 4
    while 1 << bits < capacity * 2 { bits += 1 }
    keys = Array(repeating: Self.empty, count: 1 << bits)
    merges = Array(repeating: Merge(rank: 0, newID: 0), count: 1 << bits)
    mask = 1 << bits - 1
    shift = UInt64(64 - bits)
  }

  private func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Where `key` is, or the free place where it belongs (there always is one: at most half the places are taken).
  @inline(__always)
  private func place(of key: UInt64) -> Int {
    // Fibonacci hashing: the high bits of the product depend on all bits of the key.
    var place = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    while keys[place] != key, keys[place] != Self.empty { place = (place + 1) & mask }
    return place
  }

  /// Adds a merge; a later one for the same pair replaces the earlier one.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
    let key = key(left, right)
    let place = place(of: key)
    keys[place] = key
    merges[place] = merge
  }

  @inline(__always)
  subscript(left: Int32, right: Int32) -> Merge? {
    let key = key(left, right)
    let place = place(of: key)
    return keys[place] == key ? merges[place] : nil
  }
}
