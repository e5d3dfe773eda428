import Tensor
import Testing

@Suite struct ShapeTests {
  @Test func countsElements() throws {
    #expect(try Shape.elementCount([2, 3, 5]) == 30)
    #expect(try Shape.elementCount([]) == 1)
    #expect(try Shape.elementCount([4, 0, 9]) == 0)
  }

  @Test func refusesSizesThatOverflow() {
    #expect(throws: MueError.self) { try Shape.elementCount([Int.max, 2]) }
    #expect(throws: MueError.self) { try Shape.elementCount([1 << 40, 1 << 40]) }
    #expect(throws: MueError.self) { try Shape.elementCount([3, -1]) }
  }

  @Test func broadcastsLikeNumPy() throws {
    #expect(try Shape.broadcast([3, 1, 5], [4, 1]) == [3, 4, 5])
    #expect(try Shape.broadcast([], [2, 2]) == [2, 2])
    #expect(throws: MueError.self) { try Shape.broadcast([3], [4]) }
  }

  @Test func refusesViewsBeyondTheirBuffer() throws {
    let buffer = try Buffer(byteCount: 16)
    #expect(throws: MueError.self) { try Tensor(.float32, [5], buffer: buffer) }
    #expect(throws: MueError.self) { try Tensor(.float32, [1], buffer: buffer, byteOffset: 20) }
    #expect(throws: MueError.self) { try Tensor(.float32, [1], buffer: buffer, byteOffset: -4) }
    #expect(try Tensor(.float32, [3], buffer: buffer, byteOffset: 4).count == 3)
  }

  @Test func locatesErrorsFromTheInside() {
    let error = MueError(.invalidModel, "bad", at: .init(node: "inner"))
      .located(.init(file: "f.onnx", node: "outer"))
    #expect(error.location.node == "inner")
    #expect(error.description == "bad (f.onnx, node 'inner')")
  }
}
