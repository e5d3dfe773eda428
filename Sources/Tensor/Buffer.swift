#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A block of memory that tensors share: allocated here (64-byte aligned, and the allocation may fail with an error),
/// or borrowed from an owner that it keeps alive, such as a mapped file.
///
/// Sendable by contract: a buffer that several threads see is only read.
public final class Buffer: @unchecked Sendable {
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  private let owner: AnyObject?
  /// Whether this is a file, mapped read only, that the system can read again.
  public let isMappedFile: Bool
  /// Bytes of a mapping of its own, 0 for what malloc gave or an owner lends.
  private let mappedBytes: Int

  /// Uninitialised memory.
  public init(byteCount: Int) throws(MueError) {
    guard byteCount >= 0 else { throw MueError(.invalidArgument, "negative allocation") }
    // At least one vector more, so that kernels may read a whole register at the end.
    let (padded, overflow) = byteCount.addingReportingOverflow(64)
    guard !overflow else { throw MueError(.outOfMemory, "cannot allocate \(byteCount) bytes") }
    if padded >= Self.mappingThreshold {
      // The heap would keep large blocks in pieces after they are freed; a mapping goes back to the system at once.
      let mapping = mmap(nil, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let mapping, mapping != UnsafeMutableRawPointer(bitPattern: -1) else {
        throw MueError(.outOfMemory, "cannot allocate \(byteCount) bytes")
      }
      // Weights are read front to back: fewer, larger pages. Refusal is no error.
      if padded >= Self.hugePageThreshold { madvise(mapping, padded, MADV_HUGEPAGE) }
      base = mapping
      mappedBytes = padded
    } else {
      var pointer: UnsafeMutableRawPointer?
      guard posix_memalign(&pointer, 64, padded) == 0, let pointer else {
        throw MueError(.outOfMemory, "cannot allocate \(byteCount) bytes")
      }
      base = pointer
      mappedBytes = 0
    }
    self.byteCount = byteCount
    self.owner = nil
    self.isMappedFile = false
  }

  /// Memory that `owner` keeps valid; it is written to only where it was lent for that.
  ///
  /// - Parameter isMappedFile: the memory is a file, mapped read only, that the system can read again.
  public init(borrowing base: UnsafeRawPointer, byteCount: Int, owner: AnyObject, isMappedFile: Bool = false) {
    self.base = UnsafeMutableRawPointer(mutating: base)
    self.byteCount = byteCount
    self.owner = owner
    self.isMappedFile = isMappedFile
    self.mappedBytes = 0
  }

  /// Whether an owner lends the memory, to whom it goes back.
  public var isBorrowed: Bool { owner != nil }

  /// Tells the system that a part of a mapped file will not be needed soon: its pages leave this process' memory, and
  /// come back from the file when they are read. Does nothing for other memory.
  public func releasePages(_ bytes: Range<Int>) {
    guard isMappedFile, !bytes.isEmpty, bytes.lowerBound >= 0, bytes.upperBound <= byteCount else { return }
    // Whole pages inside the range: neighbours may be in use.
    let page = UInt(max(sysconf(Int32(_SC_PAGESIZE)), 1))
    let start = (UInt(bitPattern: base) + UInt(bytes.lowerBound) + page - 1) / page * page
    let end = (UInt(bitPattern: base) + UInt(bytes.upperBound)) / page * page
    guard end > start, let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
    madvise(address, Int(end - start), MADV_DONTNEED)
  }

  private static let mappingThreshold = 1 << 18
  private static let hugePageThreshold = 1 << 22

  deinit {
    if mappedBytes > 0 { munmap(base, mappedBytes) } else if owner == nil { free(base) }
  }
}
