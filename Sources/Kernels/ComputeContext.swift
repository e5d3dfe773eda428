import CKernels
import Tensor

/// What every kernel call needs: the threads and the packed weights that all plans of a model share, and the working
/// memory of one session.
public final class ComputeContext: @unchecked Sendable {
  /// `mk_pool *`
  public let pool: OpaquePointer
  public let threads: Int
  public let weights: PackedWeights
  /// Of one session: only its plans use it, one at a time.
  public let workspace = Workspace()
  /// The context that owns the pool.
  private let owner: ComputeContext?

  /// A context with its own pool of `threads` threads (the calling thread is one of them).
  public init(threads: Int, weights: PackedWeights = PackedWeights()) throws(MueError) {
    let count = max(1, min(threads, 256))
    guard let pool = mk_pool_create(Int32(count)) else {
      throw MueError(.outOfMemory, "cannot start a pool of \(count) threads")
    }
    self.pool = pool
    self.threads = count
    self.weights = weights
    owner = nil
  }

  /// The context of a session: the model's threads and weights, and a workspace of its own.
  public init(sessionOf model: ComputeContext) {
    pool = model.pool
    threads = model.threads
    weights = model.weights
    owner = model
  }

  deinit { if owner == nil { mk_pool_destroy(pool) } }
}
