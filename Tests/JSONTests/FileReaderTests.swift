import Glibc
import JSON
import Tensor
import Testing

@Suite struct FileReaderTests {
  private func code(_ path: String, limit: Int = 1 << 20) -> MueError.Code? {
    do {
      _ = try JSONValue.load(path: path, limits: JSONLimits(bytes: limit))
      return nil
    } catch {
      #expect(error.location.file == path)
      return error.code
    }
  }

  @Test func readsAFileAndRefusesWhatIsNone() throws {
    var name = Array("/tmp/mue-json-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    try #require(descriptor >= 0)
    let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      close(descriptor)
      unlink(path)
    }
    let text = #"{"a": [1, 2]}"#
    #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
    #expect(try JSONValue.load(path: path) == ["a": [1, 2]])
    #expect(code(path, limit: 5) == .limitExceeded)
    #expect(code(path + "-missing") == .notFound)
    #expect(code("/tmp") == .inputOutput)
    #expect(code("/dev/null") == .inputOutput)
    #expect(code("a\0b") == .invalidArgument)
    #expect(write(descriptor, "]", 1) == 1)
    #expect(code(path) == .invalidText)
  }
}
