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
  private var entries: [Key: (packed: Buffer, source: Tensor)] = [:]
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
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    if let entry = entries[key] { return entry.packed }
    let archive = isKept ? archive : nil
    let buffer = try memory.buffer(byteCount: byteCount)
    if archive?.fill(buffer, key.layout, of: tensor) != true {
      pack(buffer.base)
      archive?.add(key.layout, of: tensor, packed: buffer)
    }
    // Kernels read the packed form from now on: the file's pages would count twice.
    tensor.buffer.releasePages(tensor.byteOffset..<tensor.byteOffset + tensor.byteCount)
    entries[key] = (buffer, tensor)
    return buffer
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
    return entries.values.reduce(0) { $0 + $1.packed.byteCount }
  }
}
