import CKernels
import Tensor

/// 128 bits that stand for a content.
struct ContentDigest: Hashable {
  var low: UInt64
  var high: UInt64

  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  init(_ bytes: UnsafeRawPointer, count: Int, pool: OpaquePointer) {
    var hash: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &hash) { target in
      mk_content_hash(pool, bytes, count, target.assumingMemoryBound(to: UInt64.self).baseAddress)
    }
    self.init(low: hash.0, high: hash.1)
  }

  /// The elements of a constant, and the layout they are packed in.
  init(_ source: Tensor, layout: String, pool: OpaquePointer) {
    let elements = ContentDigest(source.pointer, count: source.byteCount, pool: pool)
    var text = layout
    let name = text.withUTF8 { utf8 in
      utf8.baseAddress.map { ContentDigest($0, count: utf8.count, pool: pool) }
    }
    // Not symmetric, or elements and layout could change places.
    self.init(
      low: elements.low &* 3 &+ (name?.low ?? 0), high: elements.high &* 3 &+ (name?.high ?? 0))
  }
}
