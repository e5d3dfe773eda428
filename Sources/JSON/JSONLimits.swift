/// Bounds on what a JSON file may cost; exceeding one is a `limitExceeded` error.
public struct JSONLimits: Sendable {
  /// Bytes of the text. Parsed values take up to about 20 times as much memory.
  public var bytes: Int
  /// Arrays and objects inside each other.
  public var nesting: Int

  public init(bytes: Int = 64 << 20, nesting: Int = 64) {
    self.bytes = bytes
    self.nesting = nesting
  }
}
