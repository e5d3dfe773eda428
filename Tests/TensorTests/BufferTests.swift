import Testing

@testable import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct BufferTests {
  /// Small blocks come from the heap, large ones are mappings: both aligned, writable and readable 64 bytes past the end.
  @Test(arguments: [0, 1, 63, 4096, 1 << 18, (1 << 22) + 5])
  func everySizeIsUsable(byteCount: Int) throws {
    let buffer = try Buffer(byteCount: byteCount)
    #expect(buffer.byteCount == byteCount)
    #expect(Int(bitPattern: buffer.base) % 64 == 0)
    memset(buffer.base, 7, byteCount + 64)
    #expect((buffer.base + byteCount + 63).load(as: UInt8.self) == 7)
  }

  @Test func whatCannotBeHadIsAnError() {
    #expect(throws: MueError.self) { try Buffer(byteCount: -1) }
    #expect(throws: MueError.self) { try Buffer(byteCount: .max) }
    #expect(throws: MueError.self) { try Buffer(byteCount: 1 << 60) }
  }

  /// Pages of a mapped file come back with the file's bytes; other memory is left alone.
  @Test func releasedPagesKeepTheirBytes() throws {
    let count = 1 << 16
    var path = Array("/tmp/mue-buffer-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    #expect(descriptor >= 0)
    defer {
      close(descriptor)
      unlink(path)
    }
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    #expect(write(descriptor, bytes, count) == count)
    let mapping = try #require(mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0))
    defer { munmap(mapping, count) }
    final class Owner {}
    let buffer = Buffer(borrowing: mapping, byteCount: count, owner: Owner(), isMappedFile: true)
    for range in [0..<count, 1..<5000, 4096..<8192, 0..<0, 5..<count + 1, -1..<10] {
      buffer.releasePages(range)
      #expect(Array(UnsafeRawBufferPointer(start: mapping, count: count)) == bytes)
    }
    let own = try Buffer(byteCount: 1 << 20)
    memset(own.base, 3, 1 << 20)
    own.releasePages(0..<1 << 20)
    #expect((own.base + 12345).load(as: UInt8.self) == 3)
  }
}
