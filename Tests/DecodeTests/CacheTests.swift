import Tensor
import Testing

@testable import Decode

@Suite struct CacheTests {
  @Test(arguments: [AttentionLayout.rowMajor, .headMajor, .transposed])
  func rowsAreCopiedFromEveryLayout(layout: AttentionLayout) throws {
    let (rows, heads, channels) = (3, 2, 4)
    let shape: [Int] =
      switch layout {
      case .rowMajor: [1, rows, heads, channels]
      case .headMajor: [1, heads, rows, channels]
      case .transposed: [1, heads, channels, rows]
      }
    func element(_ row: Int, _ head: Int, _ channel: Int) -> Float { Float(100 * row + 10 * head + channel) }
    var source = [Float](repeating: 0, count: 24)
    for row in 0..<rows {
      for head in 0..<heads {
        for channel in 0..<channels {
          let index =
            switch layout {
            case .rowMajor: (row * heads + head) * channels + channel
            case .headMajor: (head * rows + row) * channels + channel
            case .transposed: (head * channels + channel) * rows + row
            }
          source[index] = element(row, head, channel)
        }
      }
    }
    var target = [Float](repeating: -1, count: 16)
    try layout.copyRows(source, shape, 1..<3, to: &target)
    let expected = (1..<3).flatMap { row in (0..<8).map { element(row, $0 / 4, $0 % 4) } }
    #expect(target == expected)
  }

  @Test func reorderingMovesTheFilledPositions() throws {
    let cache = try KeyValueCache(rows: 3, positions: 4, keyWidth: 2, valueWidth: 1)
    for row in 0..<3 {
      for position in 0..<4 {
        cache.key(row: row, position: position).update(repeating: Float(10 * row + position), count: 2)
        cache.value(row: row, position: position).pointee = Float(-10 * row - position)
      }
    }
    let moved = try cache.reordered(parents: [2, 2, 0], count: 3)
    for (row, parent) in [2, 2, 0].enumerated() {
      for position in 0..<3 {
        #expect(moved.key(row: row, position: position)[1] == Float(10 * parent + position))
        #expect(moved.value(row: row, position: position).pointee == Float(-10 * parent - position))
      }
    }
  }
}
