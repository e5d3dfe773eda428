import CKernels
import Tensor

/// What every kernel call needs: the threads, and the packed weights that all plans of a model share.
public final class ComputeContext: @unchecked Sendable {
  /// `mk_pool *`
  public let pool: OpaquePointer
  public let threads: Int
  public let weights = PackedWeights()

  /// A context with its own pool of `threads` threads (the calling thread is one of them).
  public init(threads: Int) throws(MueError) {
    let count = max(1, min(threads, 256))
    guard let pool = mk_pool_create(Int32(count)) else {
      throw MueError(.outOfMemory, "cannot start a pool of \(count) threads")
    }
    self.pool = pool
    self.threads = count
  }

  deinit { mk_pool_destroy(pool) }
}
