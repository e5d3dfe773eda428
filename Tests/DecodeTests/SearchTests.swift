import Tensor
import Testing

@testable import Decode

@Suite struct GreedySearchTests {
  private let language = TinyLanguage(vocabulary: 5, seed: 3)

  private func options(length: Int) -> SearchOptions { SearchOptions(maxTokens: length, endToken: language.end) }

  @Test func theLargestLogitIsTakenAtEveryStep() throws {
    let outcomes = try GreedySearch.run(
      language.decoder(samples: 3), prefixes: [[0], [0], [2]], options: options(length: 6), run: RunOptions()
    ) { _, _, _ in .proceed }
    for (sample, outcome) in outcomes.enumerated() {
      let result = outcome.hypotheses[0]
      var prefix = [[0], [0], [2]][sample]
      for (token, logProbability) in zip(result.tokens, result.logProbabilities) {
        let expected = (0..<language.vocabulary).map { language.logProbability($0, sample, prefix) }
        #expect(expected[token] == expected.max())
        #expect(abs(expected[token] - logProbability) < 1e-5)
        prefix.append(token)
      }
      #expect(result.isFinished == (result.tokens.last == language.end))
      #expect(result.isFinished || result.tokens.count == 6)
      #expect(abs(result.score - result.logProbabilities.reduce(0, +) / Double(result.tokens.count)) < 1e-12)
      // One for each of its own steps, and the sample's cross cost.
      #expect(outcome.multiplyAdds == result.tokens.count + 5)
      #expect(outcome.fullMultiplyAdds == 2 * result.tokens.count + 7)
    }
  }

  @Test func stoppingKeepsWhatIsThere() throws {
    let decoder = ScriptedDecoder(samples: 1, vocabulary: 5) { _, _ in [1, 0, 0, 0, 0] }
    var seen = 0
    let outcomes = try GreedySearch.run(
      decoder, prefixes: [[0]], options: options(length: 9), run: RunOptions()
    ) { _, _, _ in
      seen += 1
      return seen == 2 ? .stop : .proceed
    }
    #expect(outcomes[0].hypotheses[0].tokens == [0, 0])
    #expect(!outcomes[0].hypotheses[0].isFinished)
  }

  @Test(arguments: [1, 2, 3]) func noSequenceComesTwice(size: Int) throws {
    var options = options(length: 9)
    options.noRepeatNgramSize = size
    // Left alone it says 0 1 0 1 0 1.
    let decoder = ScriptedDecoder(samples: 1, vocabulary: 5) { _, prefix in
      prefix.count % 2 == 0 ? [0, 3, 2, 1, -9] : [3, 0, 2, 1, -9]
    }
    let found = try GreedySearch.run(decoder, prefixes: [[2]], options: options, run: RunOptions()) { _, _, _ in
      .proceed
    }[0].hypotheses[0]
    let said = [2] + found.tokens
    var seen: Set<[Int]> = []
    for start in 0...said.count - size { #expect(seen.insert(Array(said[start..<start + size])).inserted) }
    #expect(found.tokens.prefix(2) == [0, 1])
  }

  @Test func aMinimumOfTokensComesBeforeTheEnd() throws {
    var options = options(length: 5)
    options.minTokens = 3
    let decoder = ScriptedDecoder(samples: 1, vocabulary: 5) { _, _ in [0, 1, 0, 0, 9] }
    let found = try GreedySearch.run(decoder, prefixes: [[0]], options: options, run: RunOptions()) { _, _, _ in
      .proceed
    }[0].hypotheses[0]
    #expect(found.tokens == [1, 1, 1, 4])
  }

  @Test func anAnswerOfTheSetIsSaidToItsEnd() throws {
    let answers = [[1, 2, 1], [3], [3, 2]]
    var options = options(length: 3)
    options.allowed = AllowedTokens(answers: answers, endToken: language.end)
    var seen: Set<[Int]> = []
    for start in 0..<20 {
      let found = try GreedySearch.run(
        language.decoder(samples: 1), prefixes: [[start % 5, start]], options: options, run: RunOptions()
      ) { _, _, _ in .proceed }[0].hypotheses[0]
      #expect(found.isFinished)
      #expect(answers.contains(Array(found.tokens.dropLast())))
      seen.insert(found.tokens)
    }
    #expect(seen.count == 3)
  }
}

@Suite struct BeamSearchTests {
  private func found(
    _ language: TinyLanguage, _ options: SearchOptions, prefixes: [[Int]]
  ) throws -> [[SearchResult]] {
    try BeamSearch.run(
      language.decoder(samples: prefixes.count), prefixes: prefixes, options: options, run: RunOptions()
    ).map(\.hypotheses)
  }

  private func compare(_ results: [SearchResult], _ expected: [(score: Double, tokens: [Int])]) {
    #expect(results.count == expected.count)
    for (result, expected) in zip(results, expected) {
      #expect(result.tokens == expected.tokens)
      #expect(abs(result.score - expected.score) < 1e-5)
      #expect(result.isFinished && result.exits.count == result.tokens.count)
    }
  }

  @Test(arguments: 0..<12) func theRulesAreThoseOfFairseq(seed: Int) throws {
    let language = TinyLanguage(vocabulary: 9, seed: seed)
    let beams = [2, 3, 5][seed % 3]
    var options = language.options(beams: beams, length: 4 + seed % 4)
    options.minTokens = 1 + seed % 2
    options.lengthPenalty = [1, 0, 0.6, 2][seed % 4]
    options.noRepeatNgramSize = seed % 4
    let rules = FairseqRules(
      language: language, beams: beams, maxLen: options.maxTokens, minLen: options.minTokens,
      penalty: options.lengthPenalty, ngram: options.noRepeatNgramSize)
    let prefixes = [[0], [3], [0]]
    for (sample, results) in try found(language, options, prefixes: prefixes).enumerated() {
      compare(results, rules.search(sample, prefix: prefixes[sample]))
    }
  }

  @Test(arguments: 0..<6) func enoughBeamsFindTheBestSequence(seed: Int) throws {
    let language = TinyLanguage(vocabulary: 4, seed: seed)
    let length = 3
    var best = (tokens: [Int](), score: -Double.infinity)
    func extend(_ tokens: [Int], _ sum: Double) {
      for token in 0..<language.vocabulary where token != language.pad {
        let sum = sum + language.logProbability(token, 0, [0] + tokens)
        if token == language.end {
          let score = sum / Double(tokens.count + 1)
          if score > best.score { best = (tokens + [token], score) }
        } else if tokens.count < length {
          extend(tokens + [token], sum)
        }
      }
    }
    extend([], 0)
    // More beams than sequences: nothing is lost, and the search ends at the greatest length.
    let results = try found(language, language.options(beams: 60, length: length), prefixes: [[0]])[0]
    #expect(results[0].tokens == best.tokens)
    #expect(abs(results[0].score - best.score) < 1e-5)
  }

  @Test(arguments: 0..<6) func closedSetsFollowTheirTrie(seed: Int) throws {
    let language = TinyLanguage(vocabulary: 9, seed: seed)
    let answers = [[2, 3], [2, 3, 4], [5], [5, 5, 5, 5], [6, 2], [0, 7]]
    func following(_ said: [Int]) -> [Int] {
      let open = answers.map { $0 + [language.end] }.filter { $0.starts(with: said) && $0.count > said.count }
      // OFA's Trie.get_next_layer: the end where nothing is known.
      return open.isEmpty ? [language.end] : Array(Set(open.map { $0[said.count] })).sorted()
    }
    var options = language.options(beams: 4, length: 5)
    options.minTokens = 1
    options.lengthPenalty = 0
    options.allowed = AllowedTokens(answers: answers, endToken: language.end)
    let rules = FairseqRules(
      language: language, beams: 4, maxLen: 5, penalty: 0, allowed: following)
    let results = try found(language, options, prefixes: [[0]])[0]
    compare(results, rules.search(0, prefix: [0]))
    #expect(results.allSatisfy { answers.contains(Array($0.tokens.dropLast())) })
    #expect(results.count == 4)
  }

  @Test func setsOfTokensAreNormalisedOverThemselves() throws {
    let language = TinyLanguage(vocabulary: 9, seed: 4)
    var options = language.options(beams: 3, length: 4)
    options.minTokens = 4
    options.allowed = AllowedTokens(tokens: [1, 4, 5, 6], endToken: language.end)
    let rules = FairseqRules(
      language: language, beams: 3, maxLen: 4, minLen: 4, allowed: { _ in [1, 4, 5, 6, 8] })
    compare(try found(language, options, prefixes: [[0]])[0], rules.search(0, prefix: [0]))
  }

  @Test func samplesDoNotDisturbEachOther() throws {
    let language = TinyLanguage(vocabulary: 8, seed: 1)
    let options = language.options(beams: 3, length: 7)
    let together = try found(language, options, prefixes: [[0, 2], [0, 3], [0, 4]])
    for sample in 0..<3 {
      let alone = ScriptedDecoder(samples: 1, vocabulary: 8) { _, prefix in language.logits(sample, prefix) }
      let one = try BeamSearch.run(alone, prefixes: [[0, sample + 2]], options: options, run: RunOptions())
      #expect(one[0].hypotheses.map(\.tokens) == together[sample].map(\.tokens))
      #expect(one[0].multiplyAdds > 5)
    }
  }

  @Test func whatExcludesEverythingIsAnError() {
    let language = TinyLanguage(vocabulary: 6, seed: 1)
    var options = language.options(beams: 2, length: 4)
    options.minTokens = 3
    options.noRepeatNgramSize = 1
    options.allowed = AllowedTokens(tokens: [2], endToken: language.end)
    #expect(throws: MueError.self) { try found(language, options, prefixes: [[0]]) }
  }

  @Test func logitsThatAreNoNumberAreNeverChosen() throws {
    let language = TinyLanguage(vocabulary: 6, seed: 1)
    let decoder = ScriptedDecoder(samples: 1, vocabulary: 6) { _, _ in [.nan, 0, .nan, .nan, .nan, .nan] }
    #expect(throws: MueError.self) {
      try BeamSearch.run(
        decoder, prefixes: [[0]], options: language.options(beams: 2, length: 4), run: RunOptions())
    }
  }
}
