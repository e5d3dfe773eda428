import CKernels

/// The text streams of prompts that were asked before: a constant prompt is encoded once per model.
///
/// Exact only where nothing in the text stream sees the image, as in a decomposed encoder. Shared by all sessions.
public final class PromptCache: @unchecked Sendable {
  /// What decides the outcome: the prompt, and when the stream stops.
  struct Key: Hashable {
    var ids: [Int]
    var threshold: Double
    var recordsSimilarities: Bool
  }

  private let lock = mk_lock_create()
  private var entries: [Key: (stream: EncodedStream, lastUse: Int)] = [:]
  private var clock = 0
  private let capacity: Int

  /// - Parameter capacity: streams to keep; the least recently used go first.
  public init(capacity: Int = 64) { self.capacity = capacity }

  deinit { mk_lock_destroy(lock) }

  func stream(_ key: Key) -> EncodedStream? {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    clock += 1
    entries[key]?.lastUse = clock
    return entries[key]?.stream
  }

  func keep(_ stream: EncodedStream, for key: Key) {
    mk_lock_acquire(lock)
    defer { mk_lock_release(lock) }
    clock += 1
    if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
      entries[oldest] = nil
    }
    entries[key] = (stream, clock)
  }
}
