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

  private let lock: OpaquePointer?
  // The source tensors are kept too, so that an address cannot be reused for another constant.
  private var entries: [Key: (packed: Buffer, source: Tensor)] = [:]

  public init() { lock = mk_lock_create() }
  deinit { mk_lock_destroy(lock) }

  /// The packed form of `tensor`, made by `pack` when it is not there yet.
  public func packed(
    _ key: Key, of tensor: Tensor, _ pack: () throws(MueError) -> Buffer
  ) throws(MueError) -> Buffer {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    if let entry = entries[key] { return entry.packed }
    let buffer = try pack()
    // Kernels read the packed form from now on: the file's pages would count twice.
    tensor.buffer.releasePages(tensor.byteOffset..<tensor.byteOffset + tensor.byteCount)
    entries[key] = (buffer, tensor)
    return buffer
  }

  /// Bytes of all packed weights.
  public var byteCount: Int {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    return entries.values.reduce(0) { $0 + $1.packed.byteCount }
  }
}
