import JSON
import Tensor
import Testing
import Vision

@Suite struct ImagePreprocessorTests {
  private func image(_ width: Int, _ height: Int) throws -> RGBImage {
    let pixels = (0..<width * height * 3).map { _ in UInt8.random(in: 0...255) }
    return try pixels.withUnsafeBytes {
      try RGBImage(width: width, height: height, rgb: #require($0.baseAddress), rowStride: width * 3)
    }
  }

  private func failure(_ json: JSONValue) -> MueError? {
    do {
      _ = try ImagePreprocessor(json: json, file: "p.json")
      return nil
    } catch {
      return error
    }
  }

  @Test func normalisesIntoPlanes() throws {
    let pixels: [UInt8] = [0, 51, 102, 153, 204, 255]
    let image = try pixels.withUnsafeBytes {
      try RGBImage(width: 2, height: 1, rgb: #require($0.baseAddress), rowStride: 6)
    }
    let preprocessor = try ImagePreprocessor(
      json: ["do_resize": false, "image_mean": [0.5, 0.5, 0.0], "image_std": [0.5, 0.25, 1.0]])
    let tensor = try preprocessor.process(image)
    #expect(tensor.shape == [1, 3, 1, 2])
    let expected: [Float] = [-1, 0.2, -1.2, 1.2, 0.4, 1]
    for (found, wanted) in zip(try tensor.elements(as: Float.self), expected) { #expect(abs(found - wanted) < 1e-6) }
  }

  private static let sizes: [(JSONValue, Int, Int, Int, Int)] = [
    (["height": 48, "width": 32], 100, 50, 48, 32), (["shortest_edge": 30], 100, 50, 30, 60),
    (["shortest_edge": 30], 50, 101, 60, 30), (["longest_edge": 30], 100, 50, 15, 30), (7, 100, 50, 7, 7),
    (["longest_edge": 10], 1000, 3, 1, 10),
  ]

  @Test(arguments: sizes)
  func shapes(size: JSONValue, width: Int, height: Int, outHeight: Int, outWidth: Int) throws {
    let preprocessor = try ImagePreprocessor(json: ["size": size, "resample": 2])
    let shape = try preprocessor.outputShape(width: width, height: height)
    #expect((shape.height, shape.width) == (outHeight, outWidth))
    #expect(try preprocessor.process(image(width, height)).shape == [1, 3, outHeight, outWidth])
  }

  @Test func batches() throws {
    let preprocessor = try ImagePreprocessor(json: ["size": ["height": 9, "width": 7], "resample": 3])
    let images = [try image(20, 30), try image(5, 4), try image(7, 9)]
    let batch = try preprocessor.process(images).elements(as: Float.self)
    #expect(batch == (try images.flatMap { try preprocessor.process($0).elements(as: Float.self) }))

    let ragged = try ImagePreprocessor(json: ["size": ["shortest_edge": 8], "resample": 3])
    for images in [[], [try image(10, 10), try image(10, 20)]] {
      let error = #expect(throws: MueError.self) { try ragged.process(images) }
      #expect(error?.code == .invalidArgument)
    }
  }

  @Test func unsupportedAndMalformedConfigurations() {
    let unsupported: [JSONValue] = [
      ["size": 8, "resample": 2, "do_pad": true], ["size": 8, "resample": 2, "do_image_splitting": true],
      ["size": 8, "resample": 2, "size_divisor": 32], ["size": 8, "resample": 2, "do_flip_channel_order": true],
      ["size": ["shortest_edge": 8, "longest_edge": 9], "resample": 2],
    ]
    for json in unsupported { #expect(failure(json)?.code == .unsupported, "\(json.serialized())") }
    let malformed: [JSONValue] = [
      [:], [], ["size": 8], ["size": 8, "resample": 9], ["size": 0, "resample": 2], ["size": 100_000, "resample": 2],
      ["size": ["height": 8], "resample": 2], ["size": "8", "resample": 2],
      ["do_resize": false, "image_mean": [0, 0], "image_std": 1], ["do_resize": false, "do_normalize": true],
      ["do_resize": false, "image_mean": 0, "image_std": [1, 0, 1]], ["do_resize": false, "do_center_crop": true],
      ["do_resize": 1],
    ]
    for json in malformed {
      #expect(failure(json)?.code == .invalidText, "\(json.serialized())")
      #expect(failure(json)?.location.file == "p.json")
    }
  }
}
