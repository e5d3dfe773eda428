import Tensor

/// Keys and values of one attention for every row of a group: [row][position][heads * channels], appended in place.
///
/// Row-major by position whatever the graph's layout, so that one new token is one contiguous piece.
struct KeyValueCache {
  let keys: Tensor
  let values: Tensor
  let positions: Int
  /// heads * channels of a key, and of a value.
  let keyWidth: Int
  let valueWidth: Int

  init(rows: Int, positions: Int, keyWidth: Int, valueWidth: Int) throws(MueError) {
    keys = try Tensor(.float32, [rows, positions, keyWidth])
    values = try Tensor(.float32, [rows, positions, valueWidth])
    self.positions = positions
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
  }

  func key(row: Int, position: Int = 0) -> UnsafeMutablePointer<Float> {
    keys.pointer.assumingMemoryBound(to: Float.self) + (row * positions + position) * keyWidth
  }

  func value(row: Int, position: Int = 0) -> UnsafeMutablePointer<Float> {
    values.pointer.assumingMemoryBound(to: Float.self) + (row * positions + position) * valueWidth
  }

  /// Puts the first `count` positions of row `parents[r]` into row r of the result.
  func reordered(parents: [Int], count: Int) throws(MueError) -> KeyValueCache {
    let result = try KeyValueCache(
      rows: parents.count, positions: positions, keyWidth: keyWidth, valueWidth: valueWidth)
    for (row, parent) in parents.enumerated() {
      result.key(row: row).update(from: key(row: parent), count: count * keyWidth)
      result.value(row: row).update(from: value(row: parent), count: count * valueWidth)
    }
    return result
  }
}
