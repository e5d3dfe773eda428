import Tensor
import Testing
import Vision

@Suite struct RGBImageTests {
  private func image(_ pixels: [UInt8], _ width: Int, _ height: Int, stride: Int? = nil) throws -> RGBImage {
    try pixels.withUnsafeBytes {
      try RGBImage(width: width, height: height, rgb: #require($0.baseAddress), rowStride: stride ?? width * 3)
    }
  }

  private func pixels(_ image: RGBImage) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: image.pixels.base, count: image.pixels.byteCount))
  }

  @Test func copiesRowsWithGaps() throws {
    let image = try image([1, 2, 3, 99, 4, 5, 6, 99], 1, 2, stride: 4)
    #expect(pixels(image) == [1, 2, 3, 4, 5, 6])
  }

  @Test func refusesSizesThatDoNotFit() {
    let bytes = [UInt8](repeating: 0, count: 64)
    let cases = [
      (0, 1, 3), (1, 0, 3), (-1, 1, 3), (2, 1, 5), (1, 1, -3), (70_000, 1, 210_000), (.max, .max, .max), (1, 2, .max),
    ]
    for (width, height, stride) in cases {
      #expect(throws: MueError.self) { try image(bytes, width, height, stride: stride) }
    }
  }

  /// One colour stays that colour, whatever the sizes: the coefficients sum to one.
  @Test func oneColourStaysTheSame() throws {
    for filter in Resampling.allCases {
      for _ in 0..<20 {
        let (width, height) = (Int.random(in: 1...40), Int.random(in: 1...40))
        let colour = [UInt8.random(in: 0...255), UInt8.random(in: 0...255), UInt8.random(in: 0...255)]
        let source = try image((0..<width * height).flatMap { _ in colour }, width, height)
        let result = try source.resized(width: .random(in: 1...60), height: .random(in: 1...60), filter)
        #expect(pixels(result).enumerated().allSatisfy { colour[$0.offset % 3] == $0.element })
      }
    }
  }

  @Test func handCheckedAverages() throws {
    // Halving with BOX averages pairs; (0 + 255) / 2 rounds up.
    let pair = try image([0, 10, 20, 255, 20, 40], 2, 1)
    #expect(pixels(try pair.resized(width: 1, height: 1, .box)) == [128, 15, 30])
    // BILINEAR to twice the size: a quarter of the way from each centre, the ends repeated.
    let twice = try pair.resized(width: 4, height: 1, .bilinear)
    #expect(pixels(twice) == [0, 10, 20, 64, 13, 25, 191, 18, 35, 255, 20, 40])
    // NEAREST takes the pixel under the centre.
    #expect(pixels(try pair.resized(width: 3, height: 1, .nearest)) == [0, 10, 20, 255, 20, 40, 255, 20, 40])
    // BICUBIC overshoots at an edge and is clipped.
    let edge = try image([0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255], 4, 1)
    let sharp = pixels(try edge.resized(width: 8, height: 1, .bicubic))
    #expect(sharp.first == 0 && sharp.last == 255 && sharp == sharp.sorted())
  }

  @Test func refusesSizesOfNothing() throws {
    let source = try image([1, 2, 3], 1, 1)
    for (width, height) in [(0, 1), (1, -1), (70_000, 1), (.max, .max)] {
      #expect(throws: MueError.self) { try source.resized(width: width, height: height, .bicubic) }
    }
  }
}
