import CKernels
import Tensor

/// Whether a model's decoder may run one token at a time: found out once, on the first request, and remembered for all
/// sessions.
public final class IncrementalCheck: @unchecked Sendable {
  private let lock = mk_lock_create()
  private var verdict: (isIncremental: Bool, reason: String?)?

  public init() {}

  deinit { mk_lock_destroy(lock) }

  /// nil while unknown; then whether tokens are decoded one at a time, and if not, why.
  public var result: (isIncremental: Bool, reason: String?)? {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    return verdict
  }

  /// - Parameter verify: compares with the whole prefix on a few tokens; returns what differs.
  func isIncremental(
    _ decoder: DecoderPartition, _ verify: () throws(MueError) -> String?
  ) throws(MueError) -> Bool {
    if let known = result { return known.isIncremental }
    var reason = decoder.obstacle
    if reason == nil {
      do {
        reason = try verify()
      } catch {
        // What the engine lacks for single tokens it may have for whole prefixes; anything else is the request's.
        guard error.code == .unsupported else { throw error }
        reason = error.description
      }
    }
    mk_lock_acquire(lock)
    verdict = (reason == nil, reason)
    mk_lock_release(lock)
    return reason == nil
  }
}
