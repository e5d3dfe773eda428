import Tensor

/// Places buffers that live for an interval of steps into one arena, so that buffers whose lives do not meet share it.
///
/// Greedy by size, largest first, each at the lowest free offset (Pisarchyk and Lee 2020, "greedy by size").
struct MemoryPlanner {
  struct Request {
    var byteCount: Int
    /// First and last step that touches the buffer.
    var lifetime: ClosedRange<Int>
  }

  private(set) var offsets: [Int]
  private(set) var byteCount = 0

  init(_ requests: [Request]) throws(MueError) {
    offsets = [Int](repeating: 0, count: requests.count)
    var placed: [Int] = []
    let order = requests.indices.sorted { requests[$0].byteCount > requests[$1].byteCount }
    for index in order {
      let request = requests[index]
      let size = (request.byteCount + 127) & ~63
      var offset = 0
      for other in placed where requests[other].lifetime.overlaps(request.lifetime) {
        let start = offsets[other]
        if offset + size <= start { break }
        offset = max(offset, start + ((requests[other].byteCount + 127) & ~63))
      }
      let (end, overflow) = offset.addingReportingOverflow(size)
      if overflow { throw MueError(.limitExceeded, "a plan needs too much memory") }
      offsets[index] = offset
      byteCount = max(byteCount, end)
      let position = placed.firstIndex { offsets[$0] > offset } ?? placed.count
      placed.insert(index, at: position)
    }
  }
}
