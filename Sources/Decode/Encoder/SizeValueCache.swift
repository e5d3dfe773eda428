import CKernels
import Graph
import Kernels
import Tensor

/// The large values in a stream's layers that follow from sizes alone, such as position biases: computed once per size and
/// shared by all sessions of a model.
public final class SizeValueCache: @unchecked Sendable {
  struct Key: Hashable {
    /// The stream's embeddings.
    var stream: ValueID
    var shape: RequestShape
  }

  private let lock = mk_lock_create()
  private var entries: [(key: Key, values: [ValueID: Tensor])] = []
  private let byteLimit: Int

  /// - Parameter byteLimit: the least recently used sizes go when all together take more.
  public init(byteLimit: Int = 1 << 30) { self.byteLimit = byteLimit }

  deinit { mk_lock_destroy(lock) }

  /// The values `wanted` for inputs of `shape`.
  func values(
    _ key: Key, wanted: [ValueID], unified: UnifiedGraph, context: ComputeContext
  ) throws(MueError) -> [ValueID: Tensor] {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    if let index = entries.firstIndex(where: { $0.key == key }) {
      entries.append(entries.remove(at: index))
      return entries[entries.count - 1].values
    }
    context.workspace.trace?.begin("position biases")
    defer { context.workspace.trace?.end() }
    let values = try Specialization.constants(
      wanted, of: unified.graph, feeds: unified.inputFeeds(key.shape).mapValues(\.info), context: context)
    // Tables of positions, which nothing else reads.
    unified.graph.releaseFilePages()
    entries.append((key, values))
    while entries.count > 1, entries.reduce(0, { $0 + Self.byteCount($1.values) }) > byteLimit { entries.removeFirst() }
    return values
  }

  private static func byteCount(_ values: [ValueID: Tensor]) -> Int {
    values.values.reduce(0) { $0 + $1.byteCount }
  }
}
