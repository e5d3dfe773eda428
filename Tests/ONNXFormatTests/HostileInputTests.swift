import ONNXFormat
import Tensor
import Testing

/// Spoiled models must give an error or a model, and never end the process; where libonnx reads them too, the same model.
@Suite struct HostileInputTests {
  private func read(_ bytes: [UInt8]) throws -> [String]? {
    do throws(MueError) {
      return ModelDump(
        try ONNXModel.parse(buffered(bytes), file: "hostile.onnx", externalDirectory: nil)
      ).lines
    } catch {
      #expect(error.code == .invalidModel || error.code == .unsupported || error.code == .limitExceeded, "\(error)")
      #expect(error.location.file == "hostile.onnx")
      #expect((0...bytes.count).contains(error.location.byteOffset ?? 0), "\(error)")
      return nil
    }
  }

  private func buffered(_ bytes: [UInt8]) throws(MueError) -> Buffer {
    do {
      return try buffer(bytes)
    } catch {
      throw MueError(.outOfMemory, "test buffer")
    }
  }

  @Test func everyTruncation() throws {
    let random = RandomSource()
    var samples = SampleModels(random)
    let bytes = samples.model(byteLimit: 4000)
    var failures = 0
    for length in 0..<bytes.count {
      let part = Array(bytes[..<length])
      if let ours = try read(part) {
        if let theirs = dumpOfReference(part) { expectSame(ours, theirs, "\(length) bytes of seed \(random.seed)") }
      } else {
        failures += 1
      }
    }
    // Only a cut between the last top-level fields leaves a model.
    #expect(failures > bytes.count * 8 / 10)
  }

  /// Every byte of a small model, each replaced by several others.
  @Test func everyByteCorrupted() throws {
    var random = RandomSource()
    var samples = SampleModels(random)
    let bytes = samples.model(byteLimit: 2000)
    var compared = 0
    for index in bytes.indices {
      let low = UInt8(truncatingIfNeeded: random.next())
      for value in Set([0, 0x7f, 0x80, 0xff, bytes[index] &+ 1, bytes[index] ^ 0x80, low]) {
        var spoiled = bytes
        spoiled[index] = value
        guard let ours = try read(spoiled) else { continue }
        guard let theirs = dumpOfReference(spoiled) else { continue }
        expectSame(ours, theirs, "byte \(index) as \(value), seed \(random.seed)")
        compared += 1
      }
    }
    #expect(compared > bytes.count)
  }

  /// Several changes at once, of bytes, lengths and order.
  @Test func heavyCorruption() throws {
    var random = RandomSource()
    var samples = SampleModels(random)
    for _ in 0..<10 {
      let bytes = samples.model(byteLimit: 4000)
      for _ in 0..<60 {
        var spoiled = bytes
        for _ in 0..<random.int(1...6) {
          let index = random.int(0...spoiled.count - 1)
          switch random.int(0...3) {
          case 0: spoiled[index] = UInt8(truncatingIfNeeded: random.next())
          case 1: spoiled.remove(at: index)
          case 2: spoiled.insert(contentsOf: random.bytes(random.int(1...9)), at: index)
          default:
            let other = random.int(index...spoiled.count - 1)
            spoiled.insert(contentsOf: spoiled[index...min(other, index + 40)], at: random.int(0...spoiled.count))
          }
          if spoiled.isEmpty { spoiled = [8] }
        }
        if let ours = try read(spoiled), let theirs = dumpOfReference(spoiled) {
          expectSame(ours, theirs, "seed \(random.seed)")
        }
      }
    }
  }

  @Test func randomBytes() throws {
    var random = RandomSource()
    for _ in 0..<2000 { _ = try read(random.bytes(random.int(0...80))) }
  }
}
