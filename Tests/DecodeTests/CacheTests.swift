import Kernels
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

  /// Two layers, the second with two attentions; states of 3.
  private func layout() throws -> CacheLayout {
    try CacheLayout(layers: [[(key: 2, value: 1)], [(key: 3, value: 2), (key: 1, value: 4)]], width: 3, positions: 5)
  }

  @Test func everythingInARowHasItsOwnPlace() throws {
    let layout = try layout()
    #expect(layout.count == 5 * (3 + 5 + 5 + 3))
    var owners = [Int](repeating: 0, count: layout.count)
    for attention in layout.layers.joined() {
      for index in 0..<5 * attention.keyWidth { owners[attention.keys + index] += 1 }
      for index in 0..<5 * attention.valueWidth { owners[attention.values + index] += 1 }
    }
    for index in 0..<5 * layout.width { owners[layout.states + index] += 1 }
    #expect(owners.allSatisfy { $0 == 1 })
    #expect(throws: MueError.self) {
      try CacheLayout(layers: [[(key: 1 << 40, value: 1)]], width: 1, positions: 1 << 40)
    }
  }

  @Test func aCopyHoldsWhatIsFilledAndTheStatesThatAreStillNeeded() throws {
    let pool = RowMemoryPool(try layout(), SpareMemory())
    let (source, target) = (try pool.take(), try pool.take())
    func fill(_ memory: RowMemory, _ base: Float) {
      for position in 0..<5 {
        for (layer, attentions) in memory.layout.layers.enumerated() {
          for (slot, attention) in attentions.enumerated() {
            let value = base + Float(100 * layer + 10 * slot + position)
            memory.key(layer, slot, position: position).update(repeating: value, count: attention.keyWidth)
            memory.value(layer, slot, position: position).update(repeating: -value, count: attention.valueWidth)
          }
        }
        memory.state(position).update(repeating: base + Float(position), count: 3)
      }
    }
    fill(source, 1000)
    fill(target, 5000)
    source.filled = [4, 2]
    target.copy(source, count: 4)
    #expect(target.filled == [4, 2])
    for position in 0..<5 {
      let first: Float = position < 4 ? 1000 : 5000
      let second: Float = position < 2 ? 1000 : 5000
      #expect(target.key(0, 0, position: position)[1] == first + Float(position))
      #expect(target.value(0, 0, position: position)[0] == -first - Float(position))
      #expect(target.key(1, 1, position: position)[0] == second + 110 + Float(position))
      #expect(target.value(1, 0, position: position)[1] == -second - 100 - Float(position))
      // The second layer has not seen the tokens from 2 on.
      let state: Float = (2..<4).contains(position) ? 1000 : 5000
      #expect(target.state(position)[2] == state + Float(position))
    }
    pool.give(target)
    let again = try pool.take()
    #expect(again === target && again.filled == [0, 0])
  }
}
