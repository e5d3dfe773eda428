import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Reads small files whole.
public enum FileReader {
  /// The bytes of a regular file of at most `limit` bytes.
  ///
  /// - Throws: `notFound`, `inputOutput`, `limitExceeded` or `outOfMemory`, with the path.
  public static func bytes(path: String, limit: Int) throws(MueError) -> Buffer {
    let place = MueError.Location(file: path)
    guard !path.utf8.contains(0) else { throw MueError(.invalidArgument, "a path with a NUL character", at: place) }
    // Non-blocking, so that a pipe in place of a file cannot hang the caller.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure("cannot open the file", errno, place) }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw failure("cannot read the file", errno, place) }
    guard information.st_mode & S_IFMT == S_IFREG else {
      throw MueError(.inputOutput, "not a regular file", at: place)
    }
    let size = Int(information.st_size)
    guard size <= limit else {
      throw MueError(.limitExceeded, "the file has \(size) bytes, more than the \(limit) allowed", at: place)
    }
    let buffer = try Buffer(byteCount: size)
    var filled = 0
    while filled < size {
      let count = read(descriptor, buffer.base + filled, size - filled)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("cannot read the file", errno, place)
      }
      if count == 0 { throw MueError(.inputOutput, "the file became shorter while it was read", at: place) }
      filled += count
    }
    return buffer
  }

  private static func failure(_ message: String, _ status: Int32, _ place: MueError.Location) -> MueError {
    let isMissing = status == ENOENT || status == ENOTDIR
    let reason = strerror(status).map { String(cString: $0) } ?? "error \(status)"
    return MueError(isMissing ? .notFound : .inputOutput, "\(message): \(reason)", at: place)
  }
}

extension JSONValue {
  /// Reads and parses a file.
  public static func load(path: String, limits: JSONLimits = JSONLimits()) throws(MueError) -> JSONValue {
    let buffer = try FileReader.bytes(path: path, limit: limits.bytes)
    let bytes = UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount)
    return try withExtendedLifetime(buffer) { () throws(MueError) in try parse(bytes, file: path, limits: limits) }
  }
}
