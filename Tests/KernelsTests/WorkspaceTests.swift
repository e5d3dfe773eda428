import Kernels
import Tensor
import Testing

/// Plans of a session run one after the other and share one arena.
@Suite struct WorkspaceTests {
  @Test func plansOfSimilarSizesShareAnArena() throws {
    let workspace = Workspace()
    let first = try workspace.arena(byteCount: 26_700_000)
    let second = try workspace.arena(byteCount: 27_900_000)
    #expect(first === second)
    #expect(second.byteCount >= 27_900_000)
    #expect(try workspace.arena(byteCount: 1) === first)
  }

  @Test func aMuchLargerPlanGetsAnArenaOfItsOwn() throws {
    let workspace = Workspace()
    let first = try workspace.arena(byteCount: 1000)
    let second = try workspace.arena(byteCount: 1_000_000)
    #expect(first !== second)
    #expect(second.byteCount >= 1_000_000)
    #expect(try workspace.arena(byteCount: 1_000_000) === second)
  }

  @Test func sizesThatCannotBeAreErrors() {
    #expect(throws: MueError.self) { try Workspace().arena(byteCount: Int.max) }
    #expect(throws: MueError.self) { try Workspace().arena(byteCount: -1) }
  }
}
