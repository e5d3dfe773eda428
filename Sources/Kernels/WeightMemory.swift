import Tensor

/// Memory for what a model keeps for as long as it lives: places in few large blocks, one after the other.
///
/// Large blocks lie in large pages (`Buffer`). A matrix of less than such a page in a mapping of its own would lie in
/// hundreds of small ones; a decoder's step, which reads every weight once, took 3 to 8 % longer to find them.
final class WeightMemory {
  /// The system gives pages only where they are written, so the end of the last block costs nothing.
  private static let blockBytes = 1 << 25
  /// What is larger has a mapping of its own.
  private static let largestPlace = 1 << 22

  private var block: Buffer?
  private var usedBytes = 0

  /// Uninitialised memory, which stays with its block until all places of that are gone.
  func buffer(byteCount: Int) throws(MueError) -> Buffer {
    guard byteCount >= 0, byteCount <= Self.largestPlace else { return try Buffer(byteCount: byteCount) }
    // A whole register behind each place is readable, as behind every buffer.
    let placeBytes = (byteCount + 127) & ~63
    let block: Buffer
    if let known = self.block, placeBytes <= known.byteCount - usedBytes {
      block = known
    } else {
      block = try Buffer(byteCount: Self.blockBytes)
      self.block = block
      usedBytes = 0
    }
    defer { usedBytes += placeBytes }
    return Buffer(borrowing: block.base + usedBytes, byteCount: byteCount, owner: block)
  }

  /// Takes back `buffer`, the last one given, for the next.
  func takeBack(_ buffer: Buffer) {
    guard let block, buffer.base >= block.base, buffer.base < block.base + usedBytes else { return }
    usedBytes = buffer.base - block.base
  }
}
