#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Monotonic wall time.
public struct Stopwatch {
  private let start = Stopwatch.now()

  public init() {}

  /// Milliseconds since the stopwatch was made.
  public var milliseconds: Double { Double(Stopwatch.now() &- start) / 1e6 }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
  }
}
