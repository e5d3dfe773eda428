import CCodecs
import Tensor

extension RGBImage {
  /// A copy with the outline of each box, red and three pixels wide; what lies outside the picture is cut off.
  ///
  /// - Throws: `invalidArgument` for coordinates that are no finite numbers.
  public func outlining(_ boxes: [Box]) throws(MueError) -> RGBImage {
    let memory = try CodecMemory(byteCount: pixels.byteCount)
    memory.base.update(from: base, count: pixels.byteCount)
    for (index, box) in boxes.enumerated() {
      guard [box.x0, box.y0, box.x1, box.y1].allSatisfy(\.isFinite) else {
        throw MueError(
          .invalidArgument, "box \(index) has a coordinate that is no finite number", at: .init(argument: "boxes"))
      }
      let (left, right) = (Self.pixel(min(box.x0, box.x1), width), Self.pixel(max(box.x0, box.x1), width))
      let (top, bottom) = (Self.pixel(min(box.y0, box.y1), height), Self.pixel(max(box.y0, box.y1), height))
      fill(memory, left - 1...right + 1, top - 1...top + 1)
      fill(memory, left - 1...right + 1, bottom - 1...bottom + 1)
      fill(memory, left - 1...left + 1, top - 1...bottom + 1)
      fill(memory, right - 1...right + 1, top - 1...bottom + 1)
    }
    return RGBImage(width: width, height: height, memory: memory)
  }

  /// The nearest pixel, at most a few outside the picture.
  private static func pixel(_ coordinate: Double, _ count: Int) -> Int {
    Int(min(max(coordinate.rounded(), -8), Double(count) + 8))
  }

  private func fill(_ memory: CodecMemory, _ columns: ClosedRange<Int>, _ rows: ClosedRange<Int>) {
    let (first, last) = (max(columns.lowerBound, 0), min(columns.upperBound, width - 1))
    guard first <= last else { return }
    for row in max(rows.lowerBound, 0)..<max(min(rows.upperBound, height - 1) + 1, max(rows.lowerBound, 0)) {
      for column in first...last {
        let pixel = memory.base + (row * width + column) * 3
        (pixel[0], pixel[1], pixel[2]) = (255, 0, 0)
      }
    }
  }

  /// Writes a PNG file; an existing one is replaced.
  ///
  /// - Throws: `inputOutput`, naming the file.
  public func writePNG(path: String) throws(MueError) {
    var message = [CChar](repeating: 0, count: Int(MUE_CODEC_MESSAGE))
    let status = Int(mue_write_png(base, UInt32(width), UInt32(height), path, &message))
    guard status != MUE_CODEC_OK else { return }
    let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    throw MueError(status == MUE_CODEC_MEMORY ? .outOfMemory : .inputOutput, text, at: .init(file: path))
  }
}
