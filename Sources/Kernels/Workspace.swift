import Tensor

/// Memory for intermediate values that the plans of one session use one after the other: what a plan left there is gone
/// once another one runs.
public final class Workspace {
  public let scratch = Scratch()
  /// nil while nothing is traced.
  public var trace: TraceRecorder?
  public let spares = SpareMemory()
  private var largest: Buffer?

  public init() {}

  /// Memory for a plan. Plans keep what they got, so a larger request later makes a new block and leaves the old one to
  /// the plans that have it. Blocks therefore have room to grow: the system gives pages only where they are written.
  public func arena(byteCount: Int) throws(MueError) -> Buffer {
    if let largest, largest.byteCount >= byteCount { return largest }
    let (roomy, overflow) = byteCount.multipliedReportingOverflow(by: 2)
    let made: Buffer
    if !overflow, let buffer = try? Buffer(byteCount: roomy) {
      made = buffer
    } else {
      made = try Buffer(byteCount: byteCount)
    }
    largest = made
    return made
  }
}
