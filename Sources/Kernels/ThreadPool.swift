import CKernels
import Tensor

/// Threads that run kernels: a model's own, or shared by several models.
public final class ThreadPool: @unchecked Sendable {
  /// `mk_pool *`
  let pool: OpaquePointer
  public let threads: Int

  /// - Parameter threads: the calling thread is one of them; 0 takes the processors that the process may use.
  public init(threads: Int) throws(MueError) {
    let count = threads > 0 ? min(threads, 1024) : Int(mk_processor_count())
    guard let pool = mk_pool_create(Int32(clamping: count)) else {
      throw MueError(.outOfMemory, "cannot start a pool of \(count) threads")
    }
    self.pool = pool
    self.threads = Int(mk_pool_threads(pool))
  }

  deinit { mk_pool_destroy(pool) }
}
