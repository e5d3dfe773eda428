#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file that results are written to.
enum OutputFile {
  static func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
    guard let file = fopen(path, "wb") else {
      throw CommandFailure("cannot write \(path): \(String(cString: strerror(errno)))")
    }
    let written = fwrite(bytes, 1, bytes.count, file)
    let reason = errno
    guard fclose(file) == 0, written == bytes.count else {
      throw CommandFailure("cannot write \(path): \(String(cString: strerror(reason)))")
    }
  }
}
