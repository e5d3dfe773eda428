import CCodecs
import JSON
import Tensor

/// Decodes JPEG and PNG files to RGB, turned upright by their EXIF orientation, as Pillow does with
/// `ImageOps.exif_transpose(Image.open(file)).convert("RGB")`.
public enum ImageDecoder {
  /// - Throws: `invalidImage` for malformed and truncated bytes, `unsupported` for other formats by name,
  ///   `limitExceeded` before anything large is allocated.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, file: String? = nil, limits: ImageLimits = ImageLimits()
  ) throws(MueError) -> RGBImage {
    do throws(MueError) {
      return try decoded(bytes, limits)
    } catch {
      throw error.located(.init(file: file))
    }
  }

  public static func decode(
    _ bytes: [UInt8], file: String? = nil, limits: ImageLimits = ImageLimits()
  ) throws(MueError) -> RGBImage {
    let result = bytes.withUnsafeBytes { view in
      Result { () throws(MueError) in try decode(view, file: file, limits: limits) }
    }
    return try result.get()
  }

  /// Reads and decodes a file.
  public static func load(path: String, limits: ImageLimits = ImageLimits()) throws(MueError) -> RGBImage {
    let buffer = try FileReader.bytes(path: path, limit: limits.bytes)
    return try withExtendedLifetime(buffer) { () throws(MueError) in
      try decode(UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount), file: path, limits: limits)
    }
  }

  private static func decoded(_ bytes: UnsafeRawBufferPointer, _ limits: ImageLimits) throws(MueError) -> RGBImage {
    guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), !bytes.isEmpty else {
      throw MueError(.invalidImage, "the image is empty: it has 0 bytes")
    }
    guard bytes.count <= limits.bytes else {
      throw MueError(.limitExceeded, "the image has \(bytes.count) bytes, more than the \(limits.bytes) allowed")
    }
    var codecLimits = mue_codec_limits(
      pixels: UInt64(max(limits.pixels, 0)), side: UInt32(min(max(limits.side, 0), 65_535)),
      scans: Int32(clamping: limits.scans))
    var image = mue_codec_image()
    let status: Int32
    switch ImageFormat(bytes) {
    case .jpeg: status = mue_decode_jpeg(base, bytes.count, &codecLimits, &image)
    case .png: status = mue_decode_png(base, bytes.count, &codecLimits, &image)
    case .other(let name):
      throw MueError(.unsupported, "the image is a \(name) file; only JPEG and PNG are supported")
    case .unknown: throw MueError(.invalidImage, "the bytes are no image in a known format")
    }
    guard Int(status) == MUE_CODEC_OK, let pixels = image.pixels else {
      throw failure(status, image, limits)
    }
    let orientation = ExifOrientation.value(in: UnsafeRawBufferPointer(start: image.exif, count: image.exif_size))
    mue_codec_free(image.exif)
    let upright = RGBImage(
      width: Int(image.width), height: Int(image.height), memory: CodecMemory(owning: pixels))
    return try upright.oriented(orientation)
  }

  private static func failure(_ status: Int32, _ image: mue_codec_image, _ limits: ImageLimits) -> MueError {
    let message = withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    switch Int(status) {
    case MUE_CODEC_UNSUPPORTED: return MueError(.unsupported, message)
    case MUE_CODEC_LIMIT:
      return MueError(
        .limitExceeded,
        "\(message) (at most \(limits.pixels) pixels, \(limits.side) a side, \(limits.scans) scans)")
    case MUE_CODEC_MEMORY: return MueError(.outOfMemory, message)
    default: return MueError(.invalidImage, message)
    }
  }
}
