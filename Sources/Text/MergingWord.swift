/// A piece while its symbols merge: a doubly linked list over an array, and a queue of the pairs that may merge.
struct MergingWord {
  private struct Symbol {
    var id: Int32
    var previous: Int32
    var next: Int32
    var isMerged = false
  }

  private var symbols: [Symbol]
  private var queue = MergeQueue()

  init(symbols ids: [Int32]) {
    let count = Int32(truncatingIfNeeded: ids.count)
    symbols = []
    symbols.reserveCapacity(ids.count)
    for (position, id) in ids.enumerated() {
      let position = Int32(truncatingIfNeeded: position)
      symbols.append(Symbol(id: id, previous: position - 1, next: position + 1 < count ? position + 1 : -1))
    }
  }

  /// Merges the pair of lowest rank, leftmost first, until none is left; `mergedIDs[rank]` is what a merge makes.
  mutating func merge(by merges: MergeTable, _ mergedIDs: [Int32]) {
    for position in symbols.indices.dropLast() {
      enqueue(Int32(truncatingIfNeeded: position), merges)
    }
    while let (rank, position) = queue.popFirst() {
      let left = symbols[Int(position)]
      if left.isMerged || left.next < 0 { continue }
      let right = symbols[Int(left.next)]
      // The entry is out of date unless what stands there now merges into the same token.
      guard let merge = merges[left.id, right.id], merge.newID == mergedIDs[Int(rank)] else { continue }
      symbols[Int(left.next)].isMerged = true
      symbols[Int(position)].id = merge.newID
      symbols[Int(position)].next = right.next
      if right.next >= 0 { symbols[Int(right.next)].previous = position }
      if left.previous >= 0 { enqueue(left.previous, merges) }
      enqueue(position, merges)
    }
  }

  /// Queues the pair that starts at `position` when it can merge.
  private mutating func enqueue(_ position: Int32, _ merges: MergeTable) {
    let left = symbols[Int(position)]
    guard left.next >= 0, let merge = merges[left.id, symbols[Int(left.next)].id] else { return }
    queue.insert(rank: merge.rank, position: position)
  }

  func appendSymbols(to ids: inout [Int]) {
    for symbol in symbols where !symbol.isMerged { ids.append(Int(symbol.id)) }
  }
}

/// A binary heap of (rank, position), smallest first.
private struct MergeQueue {
  private var heap: [UInt64] = []

  mutating func insert(rank: UInt32, position: Int32) {
    var place = heap.count
    let entry = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: position))
    heap.append(entry)
    while place > 0 {
      let parent = (place - 1) / 2
      if heap[parent] <= entry { break }
      heap[place] = heap[parent]
      place = parent
    }
    heap[place] = entry
  }

  mutating func popFirst() -> (rank: UInt32, position: Int32)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty { sink(last) }
    return (UInt32(truncatingIfNeeded: first >> 32), Int32(truncatingIfNeeded: first))
  }

  /// Puts `entry` where it belongs, starting from the free place at the top.
  private mutating func sink(_ entry: UInt64) {
    var place = 0
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      if heap[child] >= entry { break }
      heap[place] = heap[child]
      place = child
    }
    heap[place] = entry
  }
}
