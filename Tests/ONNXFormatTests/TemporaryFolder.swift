import Glibc
import Testing

/// A folder of its own for one test, removed with all it holds.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/mue-onnx-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    path = String(cString: made)
  }

  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = "\(path)/\(name)"
    let stream = try #require(fopen(file, "wb"))
    defer { fclose(stream) }
    try #require(fwrite(bytes, 1, bytes.count, stream) == bytes.count)
    return file
  }

  @discardableResult
  func folder(_ name: String) throws -> String {
    try #require(mkdir("\(path)/\(name)", 0o755) == 0)
    return "\(path)/\(name)"
  }

  @discardableResult
  func link(_ name: String, to target: String) throws -> String {
    try #require(symlink(target, "\(path)/\(name)") == 0)
    return "\(path)/\(name)"
  }

  deinit {
    _ = system("rm -rf '\(path)'")
  }
}

/// The file's bytes, by plain reads.
func fileBytes(_ path: String) throws -> [UInt8] {
  let stream = try #require(fopen(path, "rb"))
  defer { fclose(stream) }
  fseek(stream, 0, SEEK_END)
  let count = ftell(stream)
  rewind(stream)
  return [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
    initialized = fread(target.baseAddress, 1, count, stream)
  }
}

func makeFIFO(_ path: String) -> Bool { mkfifo(path, 0o600) == 0 }
