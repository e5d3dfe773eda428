import CCodecs
import Tensor

/// A picture: height x width x 3 bytes, row by row, red first.
public struct RGBImage: Sendable {
  public let width: Int
  public let height: Int
  /// height x width x 3 bytes without gaps, and at least one more that may be read.
  public let pixels: Buffer

  /// Copies pixels of a caller; `rowStride` is the distance from one row to the next in bytes.
  ///
  /// - Throws: `invalidArgument` for sizes that are not positive or strides that are too short, `limitExceeded`.
  public init(
    width: Int, height: Int, rgb: UnsafeRawPointer, rowStride: Int, limits: ImageLimits = ImageLimits()
  ) throws(MueError) {
    try Self.check(width: width, height: height, limits: limits)
    guard rowStride >= width * 3, !rowStride.multipliedReportingOverflow(by: height).overflow else {
      throw MueError(.invalidArgument, "a row stride of \(rowStride) bytes does not fit \(width) RGB pixels")
    }
    let memory = try CodecMemory(byteCount: width * height * 3)
    for row in 0..<height {
      UnsafeMutableRawPointer(memory.base + row * width * 3)
        .copyMemory(from: rgb + row * rowStride, byteCount: width * 3)
    }
    self.init(width: width, height: height, memory: memory)
  }

  init(width: Int, height: Int, memory: CodecMemory) {
    self.width = width
    self.height = height
    self.pixels = memory.buffer(byteCount: width * height * 3)
  }

  var base: UnsafePointer<UInt8> { UnsafePointer(pixels.base.assumingMemoryBound(to: UInt8.self)) }

  static func check(width: Int, height: Int, limits: ImageLimits) throws(MueError) {
    guard width > 0, height > 0 else {
      throw MueError(.invalidArgument, "an image of \(width) x \(height) pixels")
    }
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, width <= min(limits.side, 65_535), height <= min(limits.side, 65_535), pixels <= limits.pixels
    else { throw MueError(.limitExceeded, "an image of \(width) x \(height) pixels is larger than allowed") }
  }

  /// The image turned upright; `orientation` is the value of the EXIF tag, others than 2 to 8 change nothing.
  func oriented(_ orientation: Int) throws(MueError) -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let memory = try CodecMemory(byteCount: pixels.byteCount)
    mue_orient_rgb(base, width, height, Int32(orientation), memory.base)
    return orientation >= 5
      ? RGBImage(width: height, height: width, memory: memory)
      : RGBImage(width: width, height: height, memory: memory)
  }
}
