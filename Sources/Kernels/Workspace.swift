import Tensor

/// Memory for intermediate values that the plans of one session use one after the other: what a plan left there is gone
/// once another one runs.
public final class Workspace {
  public let scratch = Scratch()
  /// nil while nothing is traced.
  public var trace: TraceRecorder?
  private var largest: Buffer?

  public init() {}

  /// Memory for a plan. Plans keep what they got, so a larger request later makes a new block and leaves the old one to
  /// the plans that have it.
  public func arena(byteCount: Int) throws(MueError) -> Buffer {
    if let largest, largest.byteCount >= byteCount { return largest }
    let made = try Buffer(byteCount: byteCount)
    largest = made
    return made
  }
}
