import Glibc
import JSON
import Tensor
import Testing
import Vision

/// Where Tests/python/make_vision_samples.py wrote what Pillow and NumPy do.
private let samples: String? = getenv("MUE_PARITY_DATA").map { String(cString: $0) + "/vision" }

@Suite(
  .enabled(if: samples != nil, "set MUE_PARITY_DATA to the directory that Tests/python/make_vision_samples.py wrote"))
struct PillowParityTests {
  private let folder: String

  init() throws {
    folder = try #require(samples)
  }

  private func entries(_ name: String) throws -> [JSONNode] {
    let entries = try JSONNode(JSONValue.load(path: "\(folder)/\(name).json")).array()
    try #require(entries.count > 0)
    return entries
  }

  private func bytes(_ name: String) throws -> [UInt8] {
    let buffer = try FileReader.bytes(path: "\(folder)/\(name)", limit: 1 << 30)
    return Array(UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount))
  }

  private func image(_ entry: JSONNode) throws -> RGBImage {
    let pixels = try bytes(entry.required("name").string() + ".rgb")
    let width = try entry.required("width").int()
    let height = try entry.required("height").int()
    try #require(pixels.count == width * height * 3)
    return try pixels.withUnsafeBytes { view in
      try RGBImage(width: width, height: height, rgb: #require(view.baseAddress), rowStride: width * 3)
    }
  }

  private func pixels(_ image: RGBImage) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: image.pixels.base, count: image.pixels.byteCount))
  }

  /// The greatest difference of two lists of the same length.
  private func difference(_ a: [UInt8], _ b: [UInt8]) -> Int {
    if a == b { return 0 }
    return a.count == b.count ? zip(a, b).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) } : .max
  }

  @Test func decodesAsPillow() throws {
    var wrong: [String] = []
    for entry in try entries("decode") {
      let name = try entry.required("file").string()
      let image = try ImageDecoder.load(path: "\(folder)/\(name)")
      let size = (try entry.required("width").int(), try entry.required("height").int())
      let difference = difference(pixels(image), try bytes(name + ".rgb"))
      if (image.width, image.height) != size || difference != 0 {
        wrong.append("\(name): \(image.width) x \(image.height), wanted \(size), difference \(difference)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count) differ, such as \(wrong.prefix(5))")
  }

  @Test func resizesAsPillow() throws {
    var wrong: [String] = []
    for entry in try entries("resize") {
      let target = try entry.required("to").ints()
      let filter = try #require(Resampling(rawValue: entry.required("filter").int()))
      let result = try image(entry).resized(width: target[0], height: target[1], filter)
      let difference = difference(pixels(result), try bytes(entry.required("name").string() + ".out"))
      if difference != 0 { wrong.append("\(entry.value.serialized()): difference \(difference)") }
    }
    #expect(wrong.isEmpty, "\(wrong.count) differ, such as \(wrong.prefix(5))")
  }

  @Test func preprocessesAsNumPy() throws {
    var wrong: [String] = []
    for entry in try entries("process") {
      let name = try entry.required("name").string()
      let shape = try entry.required("shape").ints()
      let image = try image(entry)
      let preprocessor = try ImagePreprocessor(json: entry.required("configuration").value)
      let tensor = try preprocessor.process([image, image])
      let expected = try bytes(name + ".out")
      let found = try tensor.elements(as: Float.self).withUnsafeBytes { Array($0) }
      let size = try preprocessor.outputShape(width: image.width, height: image.height)
      if tensor.shape != [2] + shape || [3, size.height, size.width] != shape || found != expected + expected {
        wrong.append("\(entry.value.serialized()): \(tensor.shape)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count) differ, such as \(wrong.prefix(5))")
  }
}
