import Tensor
import Testing

@testable import Decode

@Suite struct AnswerTrieScoringTests {
  private let language = TinyLanguage(vocabulary: 90, seed: 2)

  /// Answers that share beginnings, more of them than one step takes.
  private var answers: [[Int]] {
    var answers: [[Int]] = []
    for first in 0..<70 { answers.append([first]) }
    for first in 0..<40 {
      for second in stride(from: first % 3, to: 12, by: 4) { answers.append([first, second, first % 5]) }
    }
    return answers + [[3, 7], [3, 7, 1, 1, 1, 1], [80, 81]]
  }

  @Test(arguments: [AnswerNormalization.vocabulary, .answers])
  func everyAnswerGetsTheProbabilityOfItsTokens(normalization: AnswerNormalization) throws {
    let allowed = AllowedTokens(answers: answers, endToken: language.end)
    let decoder = language.decoder(samples: 1)
    try decoder.read([[5, 6]], options: RunOptions())
    var scoring = AnswerScoring()
    var trie = AnswerTrieScoring(allowed, normalization, prefix: [5, 6, 0], endToken: language.end)
    let found = try trie.run(decoder, options: RunOptions(), into: &scoring)
    var total = 0.0
    for (answer, score) in zip(answers, found) {
      var expected = 0.0
      for (position, token) in (answer + [language.end]).enumerated() {
        let said = Array(answer.prefix(position))
        let open = answers.map { $0 + [language.end] }.filter { $0.starts(with: said) && $0.count > position }
        expected += language.logProbability(
          token, 0, [5, 6, 0] + said,
          among: normalization == .answers ? Array(Set(open.map { $0[position] })) : nil)
      }
      #expect(abs(expected - score) < 1e-4)
      total += exponential(score)
    }
    if normalization == .answers { #expect(abs(total - 1) < 1e-4) }
    // Every beginning is decoded once.
    let beginnings = Set(answers.flatMap { answer in (0...answer.count).map { Array(answer.prefix($0)) } })
    #expect(scoring.exits.count == beginnings.count)
    #expect(decoder.steps.rows.allSatisfy { $0 <= AnswerTrieScoring.widest })
  }

  @Test func repeatedSequencesAreFound() {
    func completions(of history: [Int], size: Int) -> [Int] {
      var found: [Int] = []
      RepeatedNGrams.addCompletions(of: history, size: size, to: &found)
      return found.sorted()
    }
    #expect(completions(of: [1, 2, 3, 1, 2], size: 3) == [3])
    #expect(completions(of: [1, 2, 3, 1, 2, 4, 1, 2], size: 3) == [3, 4])
    #expect(completions(of: [7, 7], size: 2) == [7])
    #expect(completions(of: [5, 4], size: 1) == [4, 5])
    #expect(completions(of: [1, 2], size: 3) == [])
    #expect(completions(of: [1, 2, 1], size: 0) == [])
  }
}
