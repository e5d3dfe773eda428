import Kernels
import Tensor
import Testing

@Suite struct PackedWeightsTests {
  @Test func whatIsPackedLiesApart() throws {
    let weights = PackedWeights()
    var made: [(buffer: Buffer, byte: UInt8)] = []
    // More than one block of places, and one that has a mapping of its own.
    for (index, byteCount) in [1, 64, 65, 5_000_000, 4_000_000, 0, 4_194_304, 1_000_000].enumerated() {
      for copy in 0..<3 {
        let byte = UInt8(3 * index + copy + 1)
        let source = try Tensor(.float32, [4])
        let buffer = try weights.packed(.init("test", source), of: source, byteCount: byteCount) { target in
          target.initializeMemory(as: UInt8.self, repeating: byte, count: byteCount)
        }
        #expect(Int(bitPattern: buffer.base) % 64 == 0)
        #expect(buffer.byteCount == byteCount)
        made.append((buffer, byte))
      }
    }
    for (buffer, byte) in made {
      #expect(UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount).allSatisfy { $0 == byte })
    }
    #expect(weights.byteCount == made.reduce(0) { $0 + $1.buffer.byteCount })
  }
}
