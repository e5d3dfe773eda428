import Foundation
import Graph
import Kernels
import Tensor
import Testing

@Suite struct SmallConstantsTests {
  /// A file's bytes mapped read only, as a model's are.
  private final class Mapping {
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    init?(_ bytes: Data) {
      let path = NSTemporaryDirectory() + "small-constants-\(UUID().uuidString)"
      guard FileManager.default.createFile(atPath: path, contents: bytes) else { return nil }
      defer { unlink(path) }
      let descriptor = open(path, O_RDONLY)
      defer { close(descriptor) }
      let mapping = mmap(nil, bytes.count, PROT_READ, MAP_PRIVATE, descriptor, 0)
      guard let mapping, mapping != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
      (base, byteCount) = (mapping, bytes.count)
    }

    deinit { munmap(base, byteCount) }
  }

  @Test func smallConstantsLeaveTheFileAndLargeOnesStay() throws {
    let floats = (0..<40_000).map { Float($0) }
    let mapping = try #require(Mapping(floats.withUnsafeBytes { Data($0) }))
    let file = Buffer(borrowing: mapping.base, byteCount: mapping.byteCount, owner: mapping, isMappedFile: true)
    let small = try Tensor(.float32, [3, 5], buffer: file, byteOffset: 4 * 7)
    let other = try Tensor(.float32, [16_383], buffer: file, byteOffset: 4 * 100)
    let large = try Tensor(.float32, [16_384], buffer: file, byteOffset: 4 * 20_000)
    let none = try Tensor(.float32, [0], buffer: file)
    let own = try Tensor(.float32, [1], [Float(1)])
    var graph = Graph(opset: 17)
    let values = [small, other, large, none, own].enumerated().map { graph.addValue("\($0)", constant: $1) }
    try GraphOptimizer.gatherSmallConstants(&graph)
    let gathered = try values.map { try #require(graph.constant($0)) }
    for (after, before) in zip(gathered, [small, other, large, none, own]) {
      #expect(after.shape == before.shape)
      #expect(try after.elements(as: Float.self) == before.elements(as: Float.self))
    }
    #expect(gathered[0].buffer === gathered[1].buffer && gathered[0].buffer !== file)
    #expect(gathered[1].buffer.byteCount == 64 + 65_536)
    #expect(Int(bitPattern: gathered[0].pointer) % 64 == 0 && Int(bitPattern: gathered[1].pointer) % 64 == 0)
    #expect(gathered[2].buffer === file && gathered[3].buffer === file)
    #expect(gathered[4].buffer === own.buffer)
  }
}
