import Tensor
import Testing

@testable import Vision

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct BoxDrawingTests {
  private func grey(_ width: Int, _ height: Int) throws -> RGBImage {
    let pixels = [UInt8](repeating: 90, count: width * height * 3)
    return try RGBImage(width: width, height: height, rgb: pixels, rowStride: width * 3)
  }

  private func isRed(_ image: RGBImage, _ x: Int, _ y: Int) -> Bool {
    let pixel = image.base + (y * image.width + x) * 3
    return (pixel[0], pixel[1], pixel[2]) == (255, 0, 0)
  }

  @Test func outlinesAreThreePixelsWide() throws {
    let image = try grey(40, 30)
    let drawn = try image.outlining([Box(x0: 30.2, y0: 5, x1: 10, y1: 19.6)])
    for y in 0..<30 {
      for x in 0..<40 {
        let inside = (9...31).contains(x) && (4...21).contains(y)
        let edge = inside && !((12...28).contains(x) && (7...18).contains(y))
        #expect(isRed(drawn, x, y) == edge, "\(x), \(y)")
      }
    }
    #expect(!isRed(image, 10, 5))
  }

  @Test func whatLiesOutsideIsCutOff() throws {
    let image = try grey(7, 5)
    let drawn = try image.outlining([
      Box(x0: -1e300, y0: -5, x1: 1e300, y1: 2), Box(x0: 100, y0: 100, x1: 200, y1: 200),
    ])
    #expect((0..<7).allSatisfy { isRed(drawn, $0, 2) })
    #expect(!isRed(drawn, 3, 4))
    for bad in [Double.nan, .infinity] {
      #expect(throws: MueError.self) { try image.outlining([Box(x0: 0, y0: 0, x1: bad, y1: 1)]) }
    }
  }

  @Test func aFileHoldsThePixels() throws {
    let path = "/tmp/mue-boxes-\(getpid()).png"
    defer { unlink(path) }
    let drawn = try grey(33, 17).outlining([Box(x0: 2, y0: 2, x1: 20, y1: 12)])
    try drawn.writePNG(path: path)
    let read = try ImageDecoder.load(path: path)
    #expect((read.width, read.height) == (33, 17))
    #expect(memcmp(read.base, drawn.base, 33 * 17 * 3) == 0)
    #expect(throws: MueError.self) { try drawn.writePNG(path: "/nonexistent/folder/x.png") }
  }
}
