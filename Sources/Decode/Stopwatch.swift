import Kernels

/// Measures wall time.
public struct Stopwatch {
  private let start = Clock.now()

  public init() {}

  /// Milliseconds since the stopwatch was made.
  public var milliseconds: Double { Double(Clock.now() &- start) / 1e6 }
}
