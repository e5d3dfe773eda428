import Testing

@testable import Plan

@Suite struct MemoryPlannerTests {
  @Test(arguments: [1, 2, 3, 4]) func buffersThatLiveTogetherNeverOverlap(seed: UInt64) throws {
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let requests = (0..<200).map { _ in
      let start = next(100)
      return MemoryPlanner.Request(byteCount: next(5000), lifetime: start...start + next(20))
    }
    let planner = try MemoryPlanner(requests)
    var largestMoment = 0
    for step in 0..<120 {
      let live = requests.indices.filter { requests[$0].lifetime.contains(step) }
      largestMoment = max(largestMoment, live.reduce(0) { $0 + requests[$1].byteCount })
    }
    for a in requests.indices {
      #expect(planner.offsets[a] + requests[a].byteCount <= planner.byteCount)
      #expect(planner.offsets[a] % 64 == 0)
      for b in requests.indices where b > a && requests[a].lifetime.overlaps(requests[b].lifetime) {
        let separate =
          planner.offsets[a] + requests[a].byteCount <= planner.offsets[b]
          || planner.offsets[b] + requests[b].byteCount <= planner.offsets[a]
        #expect(separate)
      }
    }
    // Sharing must pay: far below the sum of all, not far above what is live at once.
    #expect(planner.byteCount < requests.reduce(0) { $0 + $1.byteCount } / 2)
    #expect(planner.byteCount >= largestMoment)
  }
}
