import CKernels
import Tensor

/// Over what the probability of each token of an answer is normalised.
public enum AnswerNormalization: Sendable, Equatable {
  /// The whole vocabulary; then the answers' probabilities over the answers.
  case vocabulary
  /// The tokens that go on with one of the answers, as OFA does: the probabilities of all answers add up to 1.
  case answers
}

/// The probabilities of a closed set of answers after a prefix.
///
/// Answers of one token each compete in one teacher-forced pass. Longer ones are scored by `AnswerTrieScoring`, or under
/// the joint rule by one pass each.
public struct AnswerScoring {
  /// Natural logarithms, normalised over the answers.
  public private(set) var logProbabilities: [Double] = []
  /// One entry for each pass, or each row that the decoder ran.
  public internal(set) var exits: [Int] = []
  public internal(set) var similarities: [[Double]] = []
  public internal(set) var multiplyAdds = 0
  public internal(set) var fullMultiplyAdds = 0
  public internal(set) var layersMilliseconds = 0.0
  public internal(set) var headMilliseconds = 0.0

  /// - Parameters:
  ///   - prefix: what the decoder reads before the answer.
  ///   - candidates: the tokens of each answer.
  ///   - longest: the longest sequence that the decoder takes.
  public static func run(
    _ runner: UnifiedRunner, _ sample: EncodedSample, prefix: [Int], candidates: [[Int]], endToken: Int, longest: Int,
    normalization: AnswerNormalization = .vocabulary, options: RunOptions
  ) throws(MueError) -> AnswerScoring {
    var scoring = AnswerScoring()
    guard let length = candidates.map(\.count).max(), prefix.count + length <= longest else {
      throw MueError(.limitExceeded, "prompt and answer together are longer than the \(longest) tokens the model takes")
    }
    let first = candidates.compactMap(\.first)
    let scores: [Double]
    if length == 1, Set(first).count == candidates.count {
      let pass = try runner.forward(sample, ids: prefix, candidates: first, options: options)
      scoring.add(pass)
      scores = try pass.logits.elements(as: Float.self).suffix(first.count).map { Double($0) }
    } else {
      let allowed = AllowedTokens(answers: candidates, endToken: endToken)
      let normalizer = normalization == .answers ? allowed : nil
      if options.rule == .joint {
        scores = try scoring.passes(runner, sample, prefix, candidates, endToken, normalizer, options)
      } else {
        var trie = AnswerTrieScoring(allowed, normalization, prefix: prefix, endToken: endToken)
        let decoder = try runner.tokenDecoder(
          runner.requireDecoder(), [sample], prefixes: [prefix], capacity: prefix.count + length, options)
        scores = try trie.run(decoder, options: options, into: &scoring)
      }
    }
    let largest = scores.max() ?? 0
    let normalizer = largest + logarithm(scores.reduce(0) { $0 + exponential($1 - largest) })
    scoring.logProbabilities = scores.map { $0 - normalizer }
    return scoring
  }

  /// One pass, with one exit decision, for each answer.
  private mutating func passes(
    _ runner: UnifiedRunner, _ sample: EncodedSample, _ prefix: [Int], _ candidates: [[Int]], _ endToken: Int,
    _ allowed: AllowedTokens?, _ options: RunOptions
  ) throws(MueError) -> [Double] {
    var scores: [Double] = []
    for answer in candidates {
      let pass = try runner.forward(sample, ids: prefix + answer, options: options)
      add(pass)
      let step = DecodedStep()
      step.vocabulary = pass.logits.shape.last ?? 0
      step.logits = UnsafePointer(pass.logits.pointer.assumingMemoryBound(to: Float.self))
      var ranking = TokenRanking()
      var sum = 0.0
      var place = 0
      // The token after position p is predicted there; an answer counts with its end.
      for (offset, token) in (answer + [endToken]).enumerated() {
        try ranking.only(token, of: prefix.count - 1 + offset, in: step, allowed: allowed?.tokens(at: place))
        guard let next = ranking.found.first else {
          throw MueError(.invalidArgument, "token \(token) has no probability")
        }
        sum += next.logProbability
        place = allowed?.place(after: token, at: place) ?? place
      }
      scores.append(sum)
    }
    return scores
  }

  private mutating func add(_ pass: UnifiedRunner.Pass) {
    exits.append(pass.exit)
    similarities.append(pass.similarities)
    multiplyAdds += pass.multiplyAdds
    fullMultiplyAdds += pass.fullMultiplyAdds
    layersMilliseconds += pass.layersMilliseconds
    headMilliseconds += pass.headMilliseconds
  }
}
