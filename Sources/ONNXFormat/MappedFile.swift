import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A regular file mapped read only, until the last buffer that borrows from it goes.
///
/// At least 64 bytes past its end are readable, as behind allocated buffers, so that kernels may load whole registers.
/// Whoever shortens the file meanwhile takes the pages away: the next access is a SIGBUS, as with every mapping.
final class MappedFile {
  private static let readablePadding = 64

  private let base: UnsafeMutableRawPointer
  private let reservedBytes: Int

  /// Maps all of `path`.
  ///
  /// - Parameters:
  ///   - byteLimit: a larger file is a `limitExceeded` error.
  ///   - isAllowed: sees the path that was really opened, links resolved, before a byte is read; nil accepts any.
  /// - Throws: `notFound`, `inputOutput` or `limitExceeded`; the location's file is `path`.
  static func map(
    path: String, byteLimit: Int, isAllowed: ((String) -> Bool)? = nil
  ) throws(MueError) -> Buffer {
    let place = MueError.Location(file: path)
    // A path with a zero byte would end there for the system, and name another file.
    guard !path.utf8.contains(0) else { throw MueError(.invalidArgument, "a path with a zero byte", at: place) }
    // Non-blocking, or opening a FIFO would wait for its writer.
    let descriptor = systemOpen(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else {
      let number = errno
      let isMissing = number == ENOENT || number == ENOTDIR
      throw MueError(isMissing ? .notFound : .inputOutput, "cannot open: \(reason(number))", at: place)
    }
    defer { close(descriptor) }

    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw MueError(.inputOutput, "cannot stat: \(reason(errno))", at: place)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      throw MueError(.inputOutput, isFolder ? "is a directory, not a file" : "is not a regular file", at: place)
    }
    if let isAllowed {
      guard let opened = resolvedPath("/proc/self/fd/\(descriptor)"), isAllowed(opened) else {
        throw MueError(.invalidModel, "leads out of the model's folder", at: place)
      }
    }
    let byteCount = Int(status.st_size)
    guard byteCount <= byteLimit else {
      throw MueError(.limitExceeded, "\(byteCount) bytes; the limit leaves \(max(byteLimit, 0))", at: place)
    }
    let file = try MappedFile(descriptor: descriptor, byteCount: byteCount, place: place)
    return Buffer(borrowing: file.base, byteCount: byteCount, owner: file, isMappedFile: true)
  }

  /// The path without links, `.` and `..`; nil when it does not exist.
  static func resolvedPath(_ path: String) -> String? {
    guard !path.utf8.contains(0), let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private init(descriptor: Int32, byteCount: Int, place: MueError.Location) throws(MueError) {
    let (reservedBytes, overflow) = byteCount.addingReportingOverflow(Self.readablePadding)
    guard !overflow else { throw MueError(.outOfMemory, "cannot map \(byteCount) bytes", at: place) }
    // Zero pages first, the file over them: what follows the file's last page stays readable.
    let failed = UnsafeMutableRawPointer(bitPattern: -1)
    let reserved = mmap(nil, reservedBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let reserved, reserved != failed else {
      throw MueError(.outOfMemory, "cannot map \(byteCount) bytes: \(reason(errno))", at: place)
    }
    if byteCount > 0 {
      let mapped = mmap(reserved, byteCount, PROT_READ, MAP_PRIVATE | MAP_FIXED, descriptor, 0)
      guard let mapped, mapped != failed else {
        let number = errno
        munmap(reserved, reservedBytes)
        throw MueError(.inputOutput, "cannot map: \(reason(number))", at: place)
      }
    }
    self.base = reserved
    self.reservedBytes = reservedBytes
  }

  deinit {
    munmap(base, reservedBytes)
  }
}

/// The system's `open`, under a name that no method here shadows.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 {
  open(path, flags)
}

/// The system's text for an `errno`.
private func reason(_ number: Int32) -> String {
  var text = [CChar](repeating: 0, count: 256)
  guard strerror_r(number, &text, text.count) == 0 else { return "error \(number)" }
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
