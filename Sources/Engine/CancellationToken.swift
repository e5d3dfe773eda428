import CKernels

/// A latch that any thread or signal handler may trip; a request that carries it ends within one operator.
public final class CancellationToken: @unchecked Sendable {
  private let flag: OpaquePointer

  public init?() {
    guard let flag = mk_flag_create() else { return nil }
    self.flag = flag
  }

  deinit { mk_flag_destroy(flag) }

  public func cancel() { mk_flag_set(flag) }
  public var isCancelled: Bool { mk_flag_get(flag) != 0 }

  /// The flag itself, for setting it from a signal handler through C.
  public var handle: OpaquePointer { flag }

  /// `cancel` on the flag of a token that is kept alive elsewhere: touches no object, fit for signal handlers.
  public static func cancel(_ handle: OpaquePointer) { mk_flag_set(handle) }

  /// `isCancelled` on the flag of a token that is kept alive elsewhere.
  public static func isCancelled(_ handle: OpaquePointer) -> Bool { mk_flag_get(handle) != 0 }
}
