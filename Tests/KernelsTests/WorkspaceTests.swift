import Kernels
import Tensor
import Testing

/// Plans of a session run one after the other and share arenas.
@Suite struct WorkspaceTests {
  @Test func plansOfSimilarSizesShareAnArena() throws {
    let arena = Arena()
    let first = try arena.memory(byteCount: 26_700_000)
    let second = try arena.memory(byteCount: 27_900_000)
    #expect(first === second)
    #expect(second.byteCount >= 27_900_000)
    #expect(try arena.memory(byteCount: 1) === first)
  }

  @Test func aMuchLargerPlanGetsABlockOfItsOwn() throws {
    let arena = Arena()
    let first = try arena.memory(byteCount: 1000)
    let second = try arena.memory(byteCount: 1_000_000)
    #expect(first !== second)
    #expect(second.byteCount >= 1_000_000)
    #expect(try arena.memory(byteCount: 1_000_000) === second)
  }

  @Test func sizesThatCannotBeAreErrors() {
    #expect(throws: MueError.self) { try Arena().memory(byteCount: Int.max) }
    #expect(throws: MueError.self) { try Arena().memory(byteCount: -1) }
  }

  @Test func whatIsMadeOfAnEncodersResultsLiesInItsMemory() throws {
    let workspace = Workspace()
    let memory = try workspace.encoderArena.memory(byteCount: 3000)
    for _ in 0..<3 {
      var parts: [Tensor] = []
      // 64 to 128 bytes lie between two parts.
      for _ in 0..<5 { parts.append(try workspace.spares.tensor(.float32, [250])) }
      let starts = parts.map { memory.base.distance(to: $0.pointer) }
      #expect(starts == [0, 1088, 2176, 3264, 4352])
      #expect(workspace.encoderArena.lentByteCount == 5440)
      // The block of 6000 bytes has no room for more.
      let other = try workspace.spares.tensor(.float32, [250])
      #expect(!(0..<memory.byteCount).contains(memory.base.distance(to: other.pointer)))
      #expect(try workspace.spares.tensor(.float32, [140]).pointer == memory.base + 5440)
      for part in parts { workspace.spares.keep(part) }
    }
    #expect(workspace.encoderArena.lentByteCount == 0)
    #expect(workspace.encoderArena.byteCount == memory.byteCount)
  }

  @Test func lentMemoryGoesToNoPlan() throws {
    let arena = Arena()
    #expect(arena.lend(byteCount: 1) == nil)
    let first = try arena.memory(byteCount: 1 << 12)
    var part = arena.lend(byteCount: 1 << 10)
    #expect(part?.base == first.base)
    #expect(arena.lend(byteCount: first.byteCount) == nil)
    let second = try arena.memory(byteCount: 1 << 12)
    #expect(second !== first)
    #expect(arena.reclaim())
    #expect(try arena.memory(byteCount: 1 << 12) === second)

    // Who still holds a part keeps it, and the arena starts anew.
    part = arena.lend(byteCount: 1 << 10)
    #expect(part?.base == second.base)
    #expect(!arena.reclaim())
    #expect(arena.byteCount == 0)
    let third = try arena.memory(byteCount: 1 << 12)
    #expect(third !== second)
    let held = arena.lend(byteCount: 64)
    part = nil
    #expect(arena.lentByteCount > 0)
    #expect(held?.base == third.base)
  }
}
