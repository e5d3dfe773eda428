import CCodecs
import Tensor

/// Memory that a codec allocated, freed with its last user.
final class CodecMemory: @unchecked Sendable {
  let base: UnsafeMutablePointer<UInt8>

  /// Takes over `base`, which `mue_codec_allocate` or a decoder returned.
  init(owning base: UnsafeMutablePointer<UInt8>) {
    self.base = base
  }

  /// Uninitialised memory, of which 64 bytes beyond the end may be read.
  init(byteCount: Int) throws(MueError) {
    guard byteCount >= 0, let pointer = mue_codec_allocate(byteCount) else {
      throw MueError(.outOfMemory, "cannot allocate \(byteCount) bytes for an image")
    }
    base = pointer.assumingMemoryBound(to: UInt8.self)
  }

  deinit { mue_codec_free(base) }

  func buffer(byteCount: Int) -> Buffer {
    Buffer(borrowing: base, byteCount: byteCount, owner: self)
  }
}
