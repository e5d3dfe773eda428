import Tensor

/// Large blocks that one request leaves to the next: fresh memory from the system costs more than filling it does.
///
/// Of one session, which runs one request at a time.
public final class SpareMemory {
  private let lender: Arena?
  private var blocks: [Buffer] = []
  private var byteCount = 0
  private let byteLimit: Int

  /// - Parameters:
  ///   - lender: is asked first.
  ///   - byteLimit: what is kept at most.
  public init(lender: Arena? = nil, byteLimit: Int = 1 << 27) {
    self.lender = lender
    self.byteLimit = byteLimit
  }

  /// A tensor without elements of its own yet.
  ///
  /// - Parameter isLent: whether the lender is asked, whose room is for what is made right after it has run.
  public func tensor(_ type: ElementType, _ shape: [Int], isLent: Bool = true) throws(MueError) -> Tensor {
    let bytes = try Shape.byteCount(shape, type)
    if isLent, let lent = lender?.lend(byteCount: bytes) { return try Tensor(type, shape, buffer: lent) }
    guard let index = blocks.lastIndex(where: { $0.byteCount == bytes }) else { return try Tensor(type, shape) }
    byteCount -= bytes
    return try Tensor(type, shape, buffer: blocks.remove(at: index))
  }

  /// Keeps the memory of a tensor that nobody else holds.
  public func keep(_ tensor: consuming Tensor) {
    var buffer = tensor.buffer
    _ = consume tensor
    // What was lent goes back by itself.
    guard !buffer.isBorrowed, isKnownUniquelyReferenced(&buffer), buffer.byteCount <= byteLimit else { return }
    blocks.append(buffer)
    byteCount += buffer.byteCount
    while byteCount > byteLimit { byteCount -= blocks.removeFirst().byteCount }
  }
}
