import CKernels
import Kernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Packed weights in a file next to the model, so that the next opening reads them instead of packing them.
///
/// Nothing in the file is believed: an entry is found by the content of the weights it was packed from, read into memory
/// of our own and used only when its own content is what the index says. Whatever does not fit is packed anew, and the
/// file is then written again.
final class PackedFile: PackedArchive {
  private let path: String
  private let pool: OpaquePointer
  private let descriptor: Int32
  private var index = PackedIndex()
  private var kept: [(key: ContentDigest, packed: Buffer)] = []
  private var isComplete = true

  /// A file that is missing or is no such file is as good as an empty one.
  init(path: String, pool: OpaquePointer) {
    self.path = path
    self.pool = pool
    // Non-blocking, or opening a FIFO would wait for its writer.
    descriptor = path.utf8.contains(0) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    if let known = readIndex() { index = known }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The name of the file that belongs to a model file.
  static func path(model: String, precision: Precision) -> String { "\(model).\(precision.rawValue).packed" }

  func fill(_ packed: Buffer, _ layout: String, of source: Tensor) -> Bool {
    let key = ContentDigest(source, layout: layout, pool: pool)
    guard let entry = index.entries[key], entry.byteCount == packed.byteCount,
      read(packed.base, packed.byteCount, at: entry.offset) == entry.content
    else { return false }
    kept.append((key, packed))
    return true
  }

  func add(_ layout: String, of source: Tensor, packed: Buffer) {
    kept.append((ContentDigest(source, layout: layout, pool: pool), packed))
    isComplete = false
  }

  /// Writes the file when something had to be packed. The old one stays until the new one is whole.
  func save() throws(MueError) {
    guard !isComplete, !kept.isEmpty else { return }
    var contents: [(key: ContentDigest, content: ContentDigest, byteCount: Int)] = []
    for entry in kept {
      let content = ContentDigest(entry.packed.base, count: entry.packed.byteCount, pool: pool)
      contents.append((entry.key, content, entry.packed.byteCount))
    }
    let (index, offsets) = PackedIndex.make(contents)
    let head = try Buffer(byteCount: index.count)
    head.base.copyMemory(from: index, byteCount: index.count)
    // Of this process and this moment alone: several may write at once.
    let unique = UInt64.random(in: 0...UInt64.max)
    let temporary = path + ".\(getpid()).\(String(unique, radix: 36))"
    let target = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard target >= 0 else { throw failure("cannot be made", errno) }
    defer { close(target) }
    do throws(MueError) {
      try write(head, to: target, at: 0)
      for (entry, offset) in zip(kept, offsets) { try write(entry.packed, to: target, at: offset) }
      guard rename(temporary, path) == 0 else { throw failure("cannot be put in its place", errno) }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private func readIndex() -> PackedIndex? {
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let fileBytes = Int(exactly: status.st_size), fileBytes >= PackedIndex.headBytes,
      let head = try? Buffer(byteCount: PackedIndex.headBytes), read(head.base, head.byteCount, at: 0) != nil,
      let count = PackedIndex.entryCount(UnsafeRawBufferPointer(start: head.base, count: head.byteCount))
    else { return nil }
    let byteCount = count * PackedIndex.entryBytes
    guard byteCount <= fileBytes - PackedIndex.headBytes, let bytes = try? Buffer(byteCount: byteCount),
      read(bytes.base, byteCount, at: PackedIndex.headBytes) != nil
    else { return nil }
    return PackedIndex(UnsafeRawBufferPointer(start: bytes.base, count: byteCount), fileBytes: fileBytes)
  }

  /// The digest of what was read; nil when it could not be.
  private func read(_ target: UnsafeMutableRawPointer, _ byteCount: Int, at offset: Int) -> ContentDigest? {
    var hash: (UInt64, UInt64) = (0, 0)
    let failure = withUnsafeMutableBytes(of: &hash) { digest in
      mk_content_read(
        pool, descriptor, Int64(offset), byteCount, target, digest.assumingMemoryBound(to: UInt64.self).baseAddress)
    }
    return failure == 0 ? ContentDigest(low: hash.0, high: hash.1) : nil
  }

  private func write(_ bytes: Buffer, to target: Int32, at offset: Int) throws(MueError) {
    var written = 0
    while written < bytes.byteCount {
      let count = pwrite(target, bytes.base + written, bytes.byteCount - written, off_t(offset + written))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("cannot be written", count < 0 ? errno : ENOSPC) }
      written += count
    }
  }

  private func failure(_ what: String, _ number: Int32) -> MueError {
    MueError(
      .inputOutput, "the file of packed weights \(what): \(String(cString: strerror(number)))",
      at: .init(file: path))
  }
}
