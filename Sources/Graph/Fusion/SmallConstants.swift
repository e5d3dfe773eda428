import Tensor

/// Copies small constants out of the mapped file, into one block: an element that is read there brings its neighbours in
/// the file into memory, for the most part weights that were packed long ago.
enum SmallConstants {
  /// What the system maps around a page that is read, mostly.
  private static let smallest = 1 << 16

  static func run(_ graph: inout Graph) throws(MueError) {
    var moved: [(value: ValueID, offset: Int)] = []
    var byteCount = 0
    for (value, entry) in graph.values.enumerated() {
      guard let constant = entry.constant, constant.buffer.isMappedFile, (1..<smallest).contains(constant.byteCount)
      else { continue }
      moved.append((value, byteCount))
      byteCount += (constant.byteCount + 63) & ~63
    }
    guard byteCount > 0 else { return }
    defer { graph.releaseFilePages() }
    let block = try Buffer(byteCount: byteCount)
    for (value, offset) in moved {
      guard let constant = graph.values[value].constant else { continue }
      (block.base + offset).copyMemory(from: constant.pointer, byteCount: constant.byteCount)
      graph.values[value].constant = try Tensor(constant.type, constant.shape, buffer: block, byteOffset: offset)
    }
  }
}
