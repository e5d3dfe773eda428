import CKernels
import Tensor

/// Weights in the layout their kernel wants, packed once per model and shared by all plans and sessions.
public final class PackedWeights: @unchecked Sendable {
  /// One packed form of one constant.
  public struct Key: Hashable, @unchecked Sendable {
    /// The layout, with everything that decides it, such as `linear.k192.n768`.
    public let layout: String
    public let address: UnsafeRawPointer

    public init(_ layout: String, _ tensor: Tensor) {
      self.layout = layout
      self.address = UnsafeRawPointer(tensor.pointer)
    }
  }

  public let precision: Precision
  private let lock: OpaquePointer?
  // The source tensors are kept too, so that an address cannot be reused for another constant.
  // No packed form: the constant does not fit in the layout.
  private var entries: [Key: (packed: Buffer?, source: Tensor)] = [:]
  private let memory = WeightMemory()
  private var archive: (any PackedArchive)?

  public init(precision: Precision = .float32) {
    self.precision = precision
    lock = mk_lock_create()
  }

  deinit { mk_lock_destroy(lock) }

  /// The packed form of `tensor`, made by `pack` when it is not there yet.
  ///
  /// - Parameter isKept: false for what is made as fast as it is read from an archive.
  public func packed(
    _ key: Key, of tensor: Tensor, byteCount: Int, isKept: Bool = true,
    _ pack: (_ target: UnsafeMutableRawPointer) -> Void
  ) throws(MueError) -> Buffer {
    let packed = try packedIfFitting(key, of: tensor, byteCount: byteCount, isKept: isKept) { target in
      pack(target)
      return true
    }
    guard let packed else { throw MueError(.internal, "weights do not fit in '\(key.layout)'") }
    return packed
  }

  /// The same for a layout that not every constant fits in: nil where `pack` returned false.
  ///
  /// - Parameter isSound: whether what an archive had may be used. It is the right constant's, or somebody's who knew its hash.
  public func packedIfFitting(
    _ key: Key, of tensor: Tensor, byteCount: Int, isKept: Bool = true,
    isSound: (_ packed: UnsafeRawPointer) -> Bool = { _ in true },
    _ pack: (_ target: UnsafeMutableRawPointer) -> Bool
  ) throws(MueError) -> Buffer? {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    if let entry = entries[key] { return entry.packed }
    let archive = isKept ? archive : nil
    let buffer = try memory.buffer(byteCount: byteCount)
    if archive?.fill(buffer, key.layout, of: tensor) != true || !isSound(buffer.base) {
      guard pack(buffer.base) else {
        memory.takeBack(buffer)
        entries[key] = (nil, tensor)
        return nil
      }
      archive?.add(key.layout, of: tensor, packed: buffer)
    }
    // Kernels read the packed form from now on: the file's pages would count twice.
    tensor.buffer.releasePages(tensor.byteOffset..<tensor.byteOffset + tensor.byteCount)
    entries[key] = (buffer, tensor)
    return buffer
  }

  /// The packed form of a constant, where it has been made.
  public func known(_ key: Key) -> Buffer? {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    return entries[key]?.packed
  }

  /// From now on `archive` is asked before anything is packed, and told what was; nil: none is.
  public func use(_ archive: (any PackedArchive)?) {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    self.archive = archive
  }

  /// Bytes of all packed weights.
  public var byteCount: Int {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    return entries.values.reduce(0) { $0 + ($1.packed?.byteCount ?? 0) }
  }
}
