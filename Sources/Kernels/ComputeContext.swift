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
  /// Keeps the pool.
  private let threadPool: ThreadPool

  /// The context of a model.
  public init(pool threadPool: ThreadPool, weights: PackedWeights = PackedWeights()) {
    self.threadPool = threadPool
    pool = threadPool.pool
    threads = threadPool.threads
    self.weights = weights
  }

  /// A context with its own pool of `threads` threads (the calling thread is one of them).
  public convenience init(threads: Int, weights: PackedWeights = PackedWeights()) throws(MueError) {
    self.init(pool: try ThreadPool(threads: max(1, threads)), weights: weights)
  }

  /// The context of a session: the model's threads and weights, and a workspace of its own.
  public init(sessionOf model: ComputeContext) {
    threadPool = model.threadPool
    pool = model.pool
    threads = model.threads
    weights = model.weights
  }
}
