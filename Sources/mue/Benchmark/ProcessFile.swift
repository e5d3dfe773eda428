#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the kernel tells in files that have no size, such as those of /proc.
enum ProcessFile {
  /// nil when the file cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < 1 << 24 {
      let count = read(descriptor, &block, block.count)
      if count <= 0 { break }
      bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The largest resident set of this process so far, in bytes; 0 when it is not known.
  static func peakMemory() -> Int {
    guard let line = text("/proc/self/status")?.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else {
      return 0
    }
    return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) * 1024
  }

  /// The file of the program that runs.
  static func program() throws(CommandFailure) -> String {
    var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = path.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
    }
    guard count > 0 else { throw CommandFailure("cannot find the file of this program") }
    return String(decoding: path[..<count], as: UTF8.self)
  }
}
