/// A byte trie that finds the longest of its words at a place in a text.
struct TokenTrie: Sendable {
  /// Child of (node, byte), keyed by node * 256 + byte; node 0 is the root.
  private var children: [Int: Int] = [:]
  /// The value at each node; -1 where no word ends.
  private var values: [Int] = [-1]
  private var isFirstByte = [Bool](repeating: false, count: 256)

  var isEmpty: Bool { children.isEmpty }

  /// Adds a word; a later value for the same word replaces the earlier one. Empty words are left out.
  mutating func insert(_ word: some Sequence<UInt8>, value: Int) {
    var node = 0
    for byte in word {
      if node == 0 { isFirstByte[Int(byte)] = true }
      let key = node << 8 | Int(byte)
      if let child = children[key] {
        node = child
      } else {
        values.append(-1)
        node = values.count - 1
        children[key] = node
      }
    }
    if node != 0 { values[node] = value }
  }

  /// The longest word that starts at `start`.
  func longestMatch(
    in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> (end: Int, value: Int)? {
    guard isFirstByte[Int(text[start])] else { return nil }
    var node = 0
    var best: (end: Int, value: Int)?
    var position = start
    while position < text.count, let child = children[node << 8 | Int(text[position])] {
      node = child
      position += 1
      if values[node] >= 0 { best = (position, values[node]) }
    }
    return best
  }
}
