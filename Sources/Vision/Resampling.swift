import CCodecs
import Tensor

/// The filters of Pillow's `Image.resize`; raw values are Pillow's numbers, as `resample` in configurations has them.
public enum Resampling: Int, Sendable, CaseIterable {
  case nearest = 0
  case lanczos = 1
  case bilinear = 2
  case bicubic = 3
  case box = 4
  case hamming = 5
}

extension RGBImage {
  /// The image in another size, bit by bit as Pillow's `Image.resize` makes it.
  public func resized(width: Int, height: Int, _ filter: Resampling) throws(MueError) -> RGBImage {
    try Self.check(width: width, height: height, limits: ImageLimits())
    if width == self.width, height == self.height { return self }
    let memory = try CodecMemory(byteCount: width * height * 3)
    let status = mue_resize_rgb(
      base, Int32(self.width), Int32(self.height), memory.base, Int32(width), Int32(height), Int32(filter.rawValue))
    guard Int(status) == MUE_CODEC_OK else {
      throw MueError(.outOfMemory, "cannot allocate memory to resize an image")
    }
    return RGBImage(width: width, height: height, memory: memory)
  }

  /// A window of `width` x `height` pixels at (`left`, `top`); what lies outside the image is black.
  func window(left: Int, top: Int, width: Int, height: Int) throws(MueError) -> RGBImage {
    try Self.check(width: width, height: height, limits: ImageLimits())
    let memory = try CodecMemory(byteCount: width * height * 3)
    memory.base.initialize(repeating: 0, count: width * height * 3)
    let columns = max(left, 0)..<max(min(left + width, self.width), max(left, 0))
    for row in max(top, 0)..<max(min(top + height, self.height), max(top, 0)) where !columns.isEmpty {
      UnsafeMutableRawPointer(memory.base + ((row - top) * width + columns.lowerBound - left) * 3)
        .copyMemory(from: base + (row * self.width + columns.lowerBound) * 3, byteCount: columns.count * 3)
    }
    return RGBImage(width: width, height: height, memory: memory)
  }
}
