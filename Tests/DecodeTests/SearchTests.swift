import Tensor
import Testing

@testable import Decode

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct SearchTests {
  private let vocabulary = 4
  private let end = 3

  /// Arbitrary but fixed logits for every prefix.
  private func table(_ sample: Int, _ prefix: [Int]) -> [Float] {
    var state = UInt64(sample &* 977 &+ 13)
    for token in prefix {
      state = (state ^ UInt64(token &+ 1)) &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    }
    return (0..<vocabulary).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 22) - 2
    }
  }

  private func logProbabilities(_ sample: Int, _ prefix: [Int]) -> [Double] {
    let logits = table(sample, prefix).map(Double.init)
    let normalizer = log(logits.reduce(0) { $0 + exp($1) })
    return logits.map { $0 - normalizer }
  }

  /// The best finished or full-length sequence by log-probability over length, by trying all of them.
  private func exhaustive(_ sample: Int, length: Int, penalty: Double) -> (tokens: [Int], rank: Double) {
    var best: (tokens: [Int], rank: Double) = ([], -.infinity)
    func extend(_ tokens: [Int], _ score: Double) {
      if tokens.last == end || tokens.count == length {
        let rank = score / pow(Double(tokens.count), penalty)
        if tokens.last == end, rank > best.rank { best = (tokens, rank) }
        return
      }
      for (token, logProbability) in logProbabilities(sample, [0] + tokens).enumerated() {
        extend(tokens + [token], score + logProbability)
      }
    }
    extend([], 0)
    return best
  }

  private func options(beams: Int, length: Int) -> SearchOptions {
    SearchOptions(run: RunOptions(), beams: beams, maxTokens: length, startToken: 0, endToken: end)
  }

  @Test func greedyTakesTheLargestLogitAtEveryStep() throws {
    let decoder = ScriptedDecoder(samples: 3, beams: 1, vocabulary: vocabulary, table: table)
    let results = try GreedySearch.run(decoder, options: options(beams: 1, length: 6)) { _, _, _ in .proceed }
    for (sample, result) in results.enumerated() {
      var prefix = [0]
      for (token, logProbability) in zip(result.tokens, result.logProbabilities) {
        let expected = logProbabilities(sample, prefix)
        #expect(expected[token] == expected.max())
        #expect(abs(expected[token] - logProbability) < 1e-5)
        prefix.append(token)
      }
      #expect(result.isFinished == (result.tokens.last == end))
      #expect(result.isFinished || result.tokens.count == 6)
      // One for each of its own steps, and the sample's cross cost.
      #expect(result.multiplyAdds == result.tokens.count + 5)
      #expect(result.fullMultiplyAdds == 2 * result.tokens.count + 7)
    }
  }

  @Test func stoppingKeepsWhatIsThere() throws {
    let decoder = ScriptedDecoder(samples: 1, beams: 1, vocabulary: vocabulary) { _, _ in [1, 0, 0, 0] }
    var seen = 0
    let results = try GreedySearch.run(decoder, options: options(beams: 1, length: 9)) { _, _, _ in
      seen += 1
      return seen == 2 ? .stop : .proceed
    }
    #expect(results[0].tokens == [0, 0])
    #expect(!results[0].isFinished)
  }

  @Test(arguments: [0, 1, 2, 3, 4, 5]) func enoughBeamsFindTheBestSequence(sample: Int) throws {
    let length = 4
    let decoder = ScriptedDecoder(samples: 1, beams: 64, vocabulary: vocabulary) { _, prefix in table(sample, prefix) }
    let found = try BeamSearch.run(decoder, samples: 1, options: options(beams: 64, length: length))[0]
    let expected = exhaustive(sample, length: length, penalty: 1)
    let rank = found.logProbabilities.reduce(0, +) / Double(found.tokens.count)
    // Among finished sequences nothing ranks higher.
    if found.isFinished { #expect(abs(rank - expected.rank) < 1e-5) }
    #expect(rank >= expected.rank - 1e-5)
  }

  @Test func samplesDoNotDisturbEachOther() throws {
    let together = ScriptedDecoder(samples: 3, beams: 3, vocabulary: vocabulary, table: table)
    let all = try BeamSearch.run(together, samples: 3, options: options(beams: 3, length: 7))
    for sample in 0..<3 {
      let alone = ScriptedDecoder(samples: 1, beams: 3, vocabulary: vocabulary) { _, prefix in table(sample, prefix) }
      let one = try BeamSearch.run(alone, samples: 1, options: options(beams: 3, length: 7))[0]
      #expect(one.tokens == all[sample].tokens)
    }
  }
}
