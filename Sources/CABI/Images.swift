// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import Tensor
import Vision

/// What a `mue_image *` holds.
final class ImageBox: HandleObject, Sendable {
  /// "MuEimage", little-endian.
  static var tag: UInt64 { 0x6567_616d_6945_754d }
  static var name: String { "mue_image" }

  let input: ImageInput

  init(_ input: ImageInput) { self.input = input }
}

@c @implementation
public func mue_image_from_file(
  _ path: UnsafePointer<CChar>?, _ pathLength: Int, _ image: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(image, "image")
    target.pointee = try ImageBox(.file(requiredText(path, pathLength, "path"))).makeHandle()
  }
}

@c @implementation
public func mue_image_from_encoded(
  _ bytes: UnsafeRawPointer?, _ size: Int, _ image: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(image, "image")
    target.pointee = try ImageBox(.encoded(copiedBytes(bytes, count: size, "bytes"))).makeHandle()
  }
}

@c @implementation
public func mue_image_from_rgb(
  _ pixels: UnsafePointer<UInt8>?, _ width: Int, _ height: Int, _ stride: Int,
  _ image: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(image, "image")
    guard let pixels else { throw .argument("pixels", "pixels is NULL") }
    guard width > 0, height > 0 else { throw .argument("width", "width and height must be at least 1") }
    let (row, overflow) = width.multipliedReportingOverflow(by: 3)
    guard !overflow, !row.multipliedReportingOverflow(by: height).overflow else {
      throw MueError(.limitExceeded, "no image is that large", at: .init(argument: "width"))
    }
    let stride = stride == 0 ? row : stride
    guard stride >= row, !stride.multipliedReportingOverflow(by: height).overflow else {
      throw .argument("stride", "stride must be at least 3 * width and the rows must fit the address space")
    }
    // The model's own limit may be lower; requests look at it.
    var limits = ImageLimits()
    limits.pixels = EngineLimits().imagePixels
    let copy: RGBImage
    do throws(MueError) {
      copy = try RGBImage(width: width, height: height, rgb: pixels, rowStride: stride, limits: limits)
    } catch {
      throw error.located(.init(argument: "width"))
    }
    target.pointee = try ImageBox(.rgb(copy)).makeHandle()
  }
}

@c @implementation
public func mue_image_from_tensor(
  _ pixelValues: UnsafePointer<mue_tensor>?, _ image: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(image, "image")
    guard let host = try mue_tensor.read(pixelValues, "pixel_values") else {
      throw .argument("pixel_values", "pixel_values is NULL")
    }
    let tensor = try Tensor(host: host, maximumElements: EngineLimits().tensorElements, "pixel_values")
    guard tensor.type == .float32, tensor.shape.count == 4, tensor.shape[0] == 1, tensor.shape[1] == 3 else {
      throw .argument(
        "pixel_values", "pixel_values is \(tensor.type.name) \(tensor.shape) and must be float [1, 3, height, width]")
    }
    target.pointee = try ImageBox(.tensor(tensor)).makeHandle()
  }
}

@c @implementation
public func mue_image_free(_ image: OpaquePointer?) { ImageBox.free(image) }

@c @implementation
public func mue_image_write_png(
  _ image: OpaquePointer?, _ boxes: UnsafePointer<mue_box>?, _ boxCount: Int, _ path: UnsafePointer<CChar>?,
  _ pathLength: Int
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let input = try ImageBox.take(image, "image").input
    let count = try boundedCount(boxCount, "box_count")
    guard count == 0 || boxes != nil else { throw .argument("boxes", "boxes is NULL and its count is not 0") }
    let path = try requiredText(path, pathLength, "path")
    var limits = ImageLimits()
    limits.pixels = EngineLimits().imagePixels
    let picture = try input.picture(limits)
    let outlines = UnsafeBufferPointer(start: boxes, count: count).map(Box.init)
    try picture.outlining(outlines).writePNG(path: path)
  }
}

extension Box {
  init(_ box: mue_box) { self.init(x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1) }
}

extension mue_box {
  init(_ box: Box) { self.init(x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1) }
}

/// A host's bytes as an array.
private func copiedBytes(_ bytes: UnsafeRawPointer?, count: Int, _ argument: String) throws(MueError) -> [UInt8] {
  guard count >= 0, count <= ArgumentBounds.bytes else {
    throw MueError(.limitExceeded, "the size of \(argument) is too large", at: .init(argument: argument))
  }
  guard let bytes else { throw .argument(argument, "\(argument) is NULL") }
  try checkAllocation(count)
  return [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
}

/// Throws when `count` bytes cannot be had: an array's own allocation cannot fail with an error.
private func checkAllocation(_ count: Int) throws(MueError) {
  _ = try Buffer(byteCount: count)
}
