import Exit
import Kernels
import Tensor
import Testing

@testable import Engine

/// What a session holds from one request to the next, in bytes.
@Suite struct MemoryTests {
  private static let folder = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/models/demo"

  /// Cross keys and values are made when the encoder has done its work, and take its memory until the request ends.
  @Test func keysAndValuesTakeTheEncodersMemory() throws {
    var options = ModelOptions()
    options.threads = 1
    let session = try Session(model: Model.open(path: Self.folder, options: options))
    let arena = session.context.workspace.encoderArena
    let item = RequestItem(image: .file(Self.folder + "/samples/scene-1.png"))
    var search = GenerateOptions()
    search.request.exits = .off
    var lent: [[Int]] = []
    var texts: [String?] = []
    var held: [Int] = []
    for _ in 0..<3 {
      #expect(arena.lentByteCount == 0)
      var bytes: [Int] = []
      let found = try session.generate([item], options: search) { _ in
        bytes.append(arena.lentByteCount)
        return .proceed
      }
      lent.append(bytes)
      texts.append(found.first?.hypotheses.first?.text)
      held.append(arena.byteCount)
    }
    #expect(arena.lentByteCount == 0)
    #expect(lent[0].allSatisfy { $0 > 0 && $0 == lent[0][0] })
    #expect(lent[1] == lent[0] && lent[2] == lent[0])
    #expect(texts[1] == texts[0] && texts[2] == texts[0])
    // The same block, and no other one.
    #expect(held == [held[0], held[0], held[0]] && held[0] >= lent[0][0])
  }
}
