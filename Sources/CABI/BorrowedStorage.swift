import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// C memory behind the pointers that getters lend out: lives as long as its owner, at fixed addresses.
///
/// Sendable by contract: filled while its owner is built, only read afterwards.
final class BorrowedStorage: @unchecked Sendable {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { free(block) } }

  /// A copy of `elements`; never NULL, also when there are none.
  func array<Element: BitwiseCopyable>(_ elements: [Element]) throws(MueError) -> UnsafeBufferPointer<Element> {
    let bytes = elements.count * MemoryLayout<Element>.stride
    guard let block = malloc(max(bytes, 1)) else { throw MueError(.outOfMemory, "cannot allocate \(bytes) bytes") }
    blocks.append(block)
    elements.withUnsafeBytes { source in
      if let from = source.baseAddress { block.copyMemory(from: from, byteCount: bytes) }
    }
    return UnsafeBufferPointer(start: block.assumingMemoryBound(to: Element.self), count: elements.count)
  }

  /// A NUL-terminated copy of `text`.
  func text(_ text: String) throws(MueError) -> UnsafePointer<CChar> {
    let block = try copiedText(text)
    blocks.append(UnsafeMutableRawPointer(block))
    return UnsafePointer(block)
  }
}

/// A NUL-terminated copy of `text` that the caller frees with `free`.
func copiedText(_ text: String) throws(MueError) -> UnsafeMutablePointer<CChar> {
  var text = text
  let copy = text.withUTF8 { bytes -> UnsafeMutablePointer<CChar>? in
    guard let block = malloc(bytes.count + 1) else { return nil }
    if let from = bytes.baseAddress { block.copyMemory(from: from, byteCount: bytes.count) }
    (block + bytes.count).storeBytes(of: 0, as: UInt8.self)
    return block.assumingMemoryBound(to: CChar.self)
  }
  guard let copy else { throw MueError(.outOfMemory, "cannot copy a text") }
  return copy
}
