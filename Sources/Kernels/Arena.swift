import Tensor

/// Memory for intermediate values that plans of one session use one after the other: what a plan left there is gone once
/// another one runs. While none of them runs it may be lent.
public final class Arena {
  private var largest: Block?

  public init() {}

  /// Bytes of the newest block.
  public var byteCount: Int { largest?.buffer.byteCount ?? 0 }
  public var lentByteCount: Int { largest?.lentBytes ?? 0 }

  /// Memory for a plan. Plans keep what they got, so a larger request later makes a new block and leaves the old one to
  /// the plans that have it. Blocks therefore have room to grow: the system gives pages only where they are written.
  public func memory(byteCount: Int) throws(MueError) -> Buffer {
    if let largest, largest.loans == 0, largest.buffer.byteCount >= byteCount { return largest.buffer }
    let (roomy, overflow) = byteCount.multipliedReportingOverflow(by: 2)
    let made: Buffer
    if !overflow, let buffer = try? Buffer(byteCount: roomy) {
      made = buffer
    } else {
      made = try Buffer(byteCount: byteCount)
    }
    largest = Block(made)
    return made
  }

  /// A part of the memory that no plan of the arena may be loaded over until the last reference to it is gone; nil when
  /// there is not so much left.
  public func lend(byteCount: Int) -> Buffer? {
    guard let largest, byteCount > 0 else { return nil }
    let start = largest.lentBytes
    guard byteCount <= largest.buffer.byteCount - start else { return nil }
    // A whole register behind each part is readable, as behind every buffer.
    largest.lentBytes = min(largest.buffer.byteCount, (start + byteCount + 127) & ~63)
    largest.loans += 1
    return Buffer(borrowing: largest.buffer.base + start, byteCount: byteCount, owner: Loan(largest))
  }

  /// Takes lent memory back for plans. False when somebody still holds a part of it: then the arena starts anew, and its
  /// plans have to be made again.
  public func reclaim() -> Bool {
    guard let largest, largest.loans > 0 else { return true }
    self.largest = nil
    return false
  }

  private final class Block {
    let buffer: Buffer
    var lentBytes = 0
    var loans = 0

    init(_ buffer: Buffer) { self.buffer = buffer }
  }

  /// Keeps the block of a part that was lent.
  private final class Loan {
    private let block: Block

    init(_ block: Block) { self.block = block }

    deinit {
      block.loans -= 1
      if block.loans == 0 { block.lentBytes = 0 }
    }
  }
}
