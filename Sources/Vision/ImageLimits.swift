/// Bounds on what an image may cost, checked before memory is allocated; exceeding one is a `limitExceeded` error.
public struct ImageLimits: Sendable {
  /// Bytes of an encoded image.
  public var bytes: Int
  /// Width times height.
  public var pixels: Int
  /// Width and height.
  public var side: Int
  /// Passes of a progressive JPEG over the image.
  public var scans: Int

  public init(bytes: Int = 256 << 20, pixels: Int = 1 << 26, side: Int = 65_535, scans: Int = 100) {
    self.bytes = bytes
    self.pixels = pixels
    self.side = side
    self.scans = scans
  }
}
