#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Standard output and standard error, without buffers of our own.
enum StandardStream {
  static var errorIsTerminal: Bool { isatty(2) == 1 }

  static func output(_ text: String) { write(text, to: 1) }
  static func error(_ text: String) { write(text, to: 2) }

  /// Ends the process.
  static func end(with status: Int32) -> Never { exit(status) }

  private static func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var sent = 0
      while sent < bytes.count, let base = bytes.baseAddress {
        let count = Glibc.write(descriptor, base + sent, bytes.count - sent)
        // A reader that went away, such as `head`, ends the output.
        guard count > 0 else { return }
        sent += count
      }
    }
  }
}
