#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A block of memory that tensors share: allocated here (64-byte aligned, and the allocation may fail with an error)
/// or borrowed from an owner that it keeps alive, such as a mapped file.
///
/// Sendable by contract: a buffer that several threads see is only read.
public final class Buffer: @unchecked Sendable {
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  private let owner: AnyObject?

  /// Uninitialised memory.
  public init(byteCount: Int) throws(MueError) {
    guard byteCount >= 0 else { throw MueError(.invalidArgument, "negative allocation") }
    var pointer: UnsafeMutableRawPointer?
    // At least one vector, so that kernels may read a whole register at the end.
    let status = posix_memalign(&pointer, 64, max(byteCount &+ 64, 64))
    guard status == 0, let pointer else {
      throw MueError(.outOfMemory, "cannot allocate \(byteCount) bytes")
    }
    self.base = pointer
    self.byteCount = byteCount
    self.owner = nil
  }

  /// Memory that `owner` keeps valid; it must not be written to.
  public init(borrowing base: UnsafeRawPointer, byteCount: Int, owner: AnyObject) {
    self.base = UnsafeMutableRawPointer(mutating: base)
    self.byteCount = byteCount
    self.owner = owner
  }

  deinit {
    if owner == nil { free(base) }
  }
}
