import Exit
import Tensor
import Testing

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct ExitTests {
  @Test func schedulesFollowTheirFormulas() {
    let paper = DecoderThreshold(theta: 0.9, schedule: .paper, beta: 0.8, tau: 2)
    for step in [0, 3, 9] {
      let expected = min(max(0.8 * 0.9 + 0.2 * exp(-2 * Double(step) / 10), 0), 1)
      #expect(abs(paper.value(step: step, maxSteps: 10) - expected) < 1e-12)
    }
    let released = DecoderThreshold(theta: 0.9, schedule: .released)
    // N' = 12: never before step 4.
    #expect(released.value(step: 3, maxSteps: 11) == 1)
    #expect(abs(released.value(step: 4, maxSteps: 11) - (0.81 + 0.1 * exp(-5.0 / 12))) < 1e-12)
    #expect(DecoderThreshold(theta: 0.7).value(step: 5, maxSteps: 9) == 0.7)
  }

  @Test func aThresholdOfOneMeansNever() {
    for schedule in DecoderThreshold.Schedule.allCases {
      #expect(DecoderThreshold(theta: 1, schedule: schedule).value(step: 7, maxSteps: 8) == 1)
    }
  }

  @Test func refusesThresholdsThatAreNoNumbers() {
    #expect(throws: MueError.self) { try ExitThresholds(image: .nan, text: 1, decoder: .init(theta: 1)) }
    #expect(throws: MueError.self) { try ExitThresholds(image: 1, text: 1, decoder: .init(theta: .infinity)) }
  }

  @Test func countsLayersAsThePaperDoes() {
    // n_E = (2 + 4) / 2 = 3 of 6; two tokens at 2 and one at 6 of 6: 1 - (9 + 10) / 36.
    let etr = ExpectedTimeReduction.value(image: (2, 6), text: (4, 6), decoder: [2, 2, 6], decoderDepth: 6)
    #expect(abs(etr - (1 - 19.0 / 36)) < 1e-12)
    #expect(ExpectedTimeReduction.value(image: (6, 6), text: (6, 6), decoder: [6], decoderDepth: 6) == 0)
    #expect(ExpectedTimeReduction.value(image: (1, 6), text: nil, decoder: [], decoderDepth: 6) == 0)
  }

  @Test func paddingDoesNotCountForTheSimilarity() {
    var generator = SystemRandomNumberGenerator()
    let before = (0..<12).map { _ in Float.random(in: -1...1, using: &generator) }
    let after = before.map { $0 + Float.random(in: -0.5...0.5, using: &generator) }
    var partial = StateSimilarity()
    partial.append(before, after, width: 4, counts: [true, false, true])
    var (dot, left, right) = (0.0, 0.0, 0.0)
    for index in [0, 1, 2, 3, 8, 9, 10, 11] {
      dot += Double(before[index]) * Double(after[index])
      left += Double(before[index]) * Double(before[index])
      right += Double(after[index]) * Double(after[index])
    }
    #expect(abs(partial.value() - dot / (left * right).squareRoot()) < 1e-6)
  }
}
