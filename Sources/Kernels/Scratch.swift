import Tensor

/// Working memory that the calls of one plan share, one after the other: sized while preparing, allocated once.
public final class Scratch {
  private var byteCount = 0
  private var buffer: Buffer?

  public init() {}

  /// Makes sure that `base` has at least this many bytes; only while preparing.
  public func reserve(_ bytes: Int) throws(MueError) {
    guard bytes > byteCount else { return }
    buffer = try Buffer(byteCount: bytes)
    byteCount = bytes
  }

  /// Read this when a step runs, never while preparing: a later call may move it.
  public var base: UnsafeMutableRawPointer? { buffer?.base }
}
