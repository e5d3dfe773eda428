// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import Kernels
import Tensor

/// What a `mue_thread_pool *` holds.
final class ThreadPoolBox: HandleObject, Sendable {
  /// "MuEpools", little-endian.
  static var tag: UInt64 { 0x736c_6f6f_7045_754d }
  static var name: String { "mue_thread_pool" }

  let pool: ThreadPool

  init(_ pool: ThreadPool) { self.pool = pool }
}

@c @implementation
public func mue_thread_pool_create(
  _ threads: Int32, _ pool: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(pool, "pool")
    target.pointee = try ThreadPoolBox(ThreadPool(threads: threadCount(threads, "threads"))).makeHandle()
  }
}

@c @implementation
public func mue_thread_pool_threads(_ pool: OpaquePointer?) -> Int32 {
  ThreadPoolBox.peek(pool).map { Int32(clamping: $0.pool.threads) } ?? 0
}

@c @implementation
public func mue_thread_pool_free(_ pool: OpaquePointer?) { ThreadPoolBox.free(pool) }

/// A number of threads that a host gave, 0 for the default.
func threadCount(_ threads: Int32, _ argument: String) throws(MueError) -> Int {
  guard threads >= 0, threads <= 1024 else {
    throw .argument(argument, "\(argument) is \(threads) and must be 0 to 1024")
  }
  return Int(threads)
}
