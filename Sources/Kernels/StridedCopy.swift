import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Moves the elements of a tensor into another place under other strides: what Transpose, Slice, Expand, Concat, Tile
/// and their like come down to. Knows bytes, not types.
struct StridedCopy {
  private let loop: StridedLoop
  private let width: Int
  private let pool: OpaquePointer?
  private let extents: [Int]
  private let targetStrides: [Int]
  private let sourceStrides: [Int]
  private let usesKernel: Bool

  /// - Parameters:
  ///   - shape: extents of what is moved.
  ///   - target, source: byte strides for each extent; the source's may be 0 or negative.
  ///   - width: bytes of an element.
  ///   - pool: threads for large copies.
  init(_ shape: [Int], target: [Int], source: [Int], width: Int, pool: OpaquePointer? = nil) {
    loop = StridedLoop(shape, strides: [target, source])
    self.width = width
    self.pool = pool
    extents = loop.extents
    targetStrides = loop.elementStrides(0, width: width)
    sourceStrides = loop.elementStrides(1, width: width)
    // The C kernel takes what the pool's threads can share; it knows neither negative strides nor more than 8 levels.
    let isLarge = loop.isEmpty ? false : extents.reduce(1, &*) >= 4096
    usesKernel = isLarge && extents.count <= 8 && sourceStrides.allSatisfy { $0 >= 0 }
  }

  func run(from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer) throws(MueError) {
    if usesKernel {
      mk_copy_strided(
        pool, width, Int32(truncatingIfNeeded: extents.count), extents, source, sourceStrides, target, targetStrides)
      return
    }
    let count = loop.inner.extent
    let (toStride, fromStride) = (loop.inner.strides[0], loop.inner.strides[1])
    if count == 1 || (toStride == width && fromStride == width) {
      let bytes = count &* width
      return try loop.run { (at) throws(MueError) in
        memcpy(target + at[0], source + at[1], bytes)
      }
    }
    switch width {
    case 1: try move(UInt8.self, count, toStride, fromStride, source, target)
    case 2: try move(UInt16.self, count, toStride, fromStride, source, target)
    case 4: try move(UInt32.self, count, toStride, fromStride, source, target)
    default: try move(UInt64.self, count, toStride, fromStride, source, target)
    }
  }

  @inline(__always)
  private func move<Unit: FixedWidthInteger & BitwiseCopyable>(
    _: Unit.Type, _ count: Int, _ toStride: Int, _ fromStride: Int, _ source: UnsafeRawPointer,
    _ target: UnsafeMutableRawPointer
  ) throws(MueError) {
    try loop.run { (at) throws(MueError) in
      var from = source + at[1]
      var to = target + at[0]
      for _ in 0..<count {
        to.storeBytes(of: from.loadUnaligned(as: Unit.self), as: Unit.self)
        from += fromStride
        to += toStride
      }
    }
  }
}
