import Tensor
import Testing
import Vision

@Suite struct ImageDecoderTests {
  private func pixels(_ image: RGBImage) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: image.pixels.base, count: image.pixels.byteCount))
  }

  private func failure(_ bytes: [UInt8], limits: ImageLimits = ImageLimits()) -> MueError? {
    do {
      _ = try ImageDecoder.decode(bytes, file: "x.png", limits: limits)
      return nil
    } catch {
      return error
    }
  }

  private let picture: [UInt8] = [255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 10, 20, 30]

  @Test func decodesPNG() throws {
    for bytes in [Samples.png, Samples.palettePNG] {
      let image = try ImageDecoder.decode(bytes)
      #expect((image.width, image.height) == (3, 2))
      #expect(pixels(image) == picture)
    }
  }

  @Test func turnsUpright() throws {
    let image = try ImageDecoder.decode(Samples.rotatedPNG)
    #expect((image.width, image.height) == (2, 3))
    // Clockwise: the left column, from below, becomes the first row.
    #expect(pixels(image) == [0, 0, 0, 255, 0, 0, 255, 255, 255, 0, 255, 0, 10, 20, 30, 0, 0, 255])
  }

  @Test func decodesJPEG() throws {
    let image = try ImageDecoder.decode(Samples.jpeg)
    #expect((image.width, image.height) == (16, 9))
    for (index, value) in pixels(image).enumerated() {
      #expect(abs(Int(value) - [200, 100, 50][index % 3]) <= 2)
    }
    let progressive = try ImageDecoder.decode(Samples.progressiveJPEG)
    #expect((progressive.width, progressive.height) == (19, 21))
  }

  @Test func emptyAndUnknownBytes() {
    #expect(failure([])?.code == .invalidImage)
    #expect(failure([])?.message.contains("0 bytes") == true)
    #expect(failure([1, 2, 3])?.code == .invalidImage)
    #expect(failure(Array("hello, world".utf8))?.location.file == "x.png")
  }

  @Test(arguments: [
    ("GIF89a...", "GIF"), ("RIFF\u{1}\u{1}\u{1}\u{1}WEBPVP8 ", "WebP"), ("II*\0....", "TIFF"), ("BM......", "BMP"),
    ("....ftypavif", "AVIF"), ("....ftypheic", "HEIF"), ("<svg xmlns", "SVG"), ("P6\n1 1", "PNM"), ("%PDF-1.7", "PDF"),
  ])
  func otherFormatsAreNamed(start: String, name: String) {
    let error = failure(Array(start.utf8))
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(name) == true)
  }

  /// Every truncation is an error, and none ends the process.
  @Test func truncatedFiles() {
    for file in [Samples.png, Samples.rotatedPNG, Samples.palettePNG, Samples.jpeg, Samples.progressiveJPEG] {
      for end in 0..<file.count {
        let error = failure(Array(file[..<end]))
        #expect(error?.code == .invalidImage, "\(end) of \(file.count) bytes")
      }
    }
  }

  /// Corrupt bytes give an image or an error.
  @Test func corruptFiles() throws {
    let limits = ImageLimits(pixels: 1 << 16)
    var refused = 0
    var decoded = 0
    for file in [Samples.png, Samples.rotatedPNG, Samples.palettePNG, Samples.jpeg, Samples.progressiveJPEG] {
      for _ in 0..<500 {
        var copy = file
        for _ in 0..<Int.random(in: 1...6) { copy[Int.random(in: 0..<copy.count)] = UInt8.random(in: 0...255) }
        if failure(copy, limits: limits) == nil { decoded += 1 } else { refused += 1 }
      }
    }
    #expect(refused > 100)
    #expect(decoded > 20)
  }

  @Test func limits() {
    #expect(failure(Samples.png, limits: ImageLimits(pixels: 6)) == nil)
    #expect(failure(Samples.png, limits: ImageLimits(pixels: 5))?.code == .limitExceeded)
    #expect(failure(Samples.jpeg, limits: ImageLimits(pixels: 143))?.code == .limitExceeded)
    #expect(failure(Samples.jpeg, limits: ImageLimits(side: 15))?.code == .limitExceeded)
    #expect(failure(Samples.png, limits: ImageLimits(bytes: 10))?.code == .limitExceeded)
    #expect(failure(Samples.progressiveJPEG, limits: ImageLimits(scans: 3))?.code == .limitExceeded)
    #expect(
      failure(Samples.progressiveJPEG, limits: ImageLimits(pixels: -1, side: -1, scans: .min))?.code == .limitExceeded)
  }

  @Test func hugeSizesAreRefusedBeforeAllocation() {
    // A frame header that claims 65500 x 65500 pixels.
    var jpeg = Samples.jpeg
    guard let frame = jpeg.indices.dropLast().first(where: { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 }) else {
      Issue.record("no frame header")
      return
    }
    for offset in [5, 7] { jpeg.replaceSubrange(frame + offset...frame + offset + 1, with: [0xFF, 0xDC]) }
    #expect(failure(jpeg)?.code == .limitExceeded)
  }

  @Test func filesAreReadAndNamed() {
    let error = #expect(throws: MueError.self) { try ImageDecoder.load(path: "/nowhere/x.png") }
    #expect(error?.code == .notFound)
    #expect(error?.location.file == "/nowhere/x.png")
  }
}
