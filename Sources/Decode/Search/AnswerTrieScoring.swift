import CKernels
import Tensor

/// Scores a closed set of answers by walking their trie: what answers have in common is decoded once, and different
/// continuations run side by side, `widest` rows at a time. Every row decides by itself where it exits, at the threshold
/// without its schedule.
struct AnswerTrieScoring {
  /// Rows of one step. More would not run faster, and each holds a cache of its own.
  static let widest = 64

  /// A token to be read next, and where it leads.
  private struct Branch {
    /// Row of the decoder that it continues.
    var parent: Int
    var token: Int
    var place: Int
    /// Log-probability of everything up to the token.
    var sum: Double
  }

  private let allowed: AllowedTokens
  private let normalization: AnswerNormalization
  private let start: Int
  private let endToken: Int
  /// By place.
  private var sums: [Int: Double] = [:]

  init(_ allowed: AllowedTokens, _ normalization: AnswerNormalization, prefix: [Int], endToken: Int) {
    self.allowed = allowed
    self.normalization = normalization
    start = prefix.last ?? 0
    self.endToken = endToken
  }

  /// - Parameter decoder: one row, which has read all of the prefix but the last token.
  /// - Returns: the log-probability of each answer with its end.
  mutating func run(
    _ decoder: any TokenDecoder, options: RunOptions, into scoring: inout AnswerScoring
  ) throws(MueError) -> [Double] {
    scoring.multiplyAdds += decoder.prefixCosts.reduce(0) { $0 + $1.run }
    scoring.fullMultiplyAdds += decoder.prefixCosts.reduce(0) { $0 + $1.full }
    try visit(decoder, [Branch(parent: 0, token: start, place: 0, sum: 0)], options, &scoring)
    let cross = decoder.crossCost(sample: 0)
    scoring.multiplyAdds += cross.run
    scoring.fullMultiplyAdds += cross.full
    return try allowed.ends.map { (place) throws(MueError) in
      guard let sum = sums[place] else { throw MueError(.internal, "an answer was not reached") }
      return sum
    }
  }

  /// Reads the tokens of `branches`, one per row of `decoder`, and everything behind them.
  private mutating func visit(
    _ decoder: any TokenDecoder, _ branches: [Branch], _ options: RunOptions, _ scoring: inout AnswerScoring
  ) throws(MueError) {
    var branches = branches
    while true {
      let following = try step(decoder, branches, options, &scoring)
      if following.isEmpty { return }
      for begin in stride(from: 0, to: following.count, by: Self.widest) {
        let isLast = begin + Self.widest >= following.count
        let chunk = Array(following[begin..<(isLast ? following.count : begin + Self.widest)])
        // Few distinct sizes, so that few plans serve all: the last row comes as often as is missing.
        var rows = 1
        while rows < chunk.count { rows *= 2 }
        var parents = chunk.map(\.parent)
        parents += [Int](repeating: parents[parents.count - 1], count: rows - parents.count)
        if isLast {
          try decoder.reorder(parents: parents)
          branches = chunk
        } else {
          try visit(decoder.forked(parents: parents), chunk, options, &scoring)
        }
      }
    }
  }

  /// One step of the decoder; returns what comes behind it.
  private mutating func step(
    _ decoder: any TokenDecoder, _ branches: [Branch], _ options: RunOptions, _ scoring: inout AnswerScoring
  ) throws(MueError) -> [Branch] {
    var tokens = branches.map(\.token)
    var candidates = branches.map { allowed.tokens(at: $0.place) }
    // Rows that only fill up the step.
    while tokens.count < decoder.rows {
      tokens.append(tokens[tokens.count - 1])
      candidates.append([])
    }
    var leading = LeadingTokens()
    for row in 0..<decoder.rows { leading.append(sample: row, isOver: row >= branches.count) }
    let made = try decoder.step(
      tokens: tokens, threshold: options.thresholds.decoder.theta, options: options,
      logits: normalization == .answers ? .of(candidates) : .leading(leading))
    scoring.layersMilliseconds += made.layersMilliseconds
    scoring.headMilliseconds += made.headMilliseconds
    var following: [Branch] = []
    for (row, branch) in branches.enumerated() {
      scoring.exits.append(made.exits[row])
      if let similarities = made.similarities?[row] { scoring.similarities.append(similarities) }
      for (index, logProbability) in try logProbabilities(candidates[row], row, made).enumerated() {
        let place = allowed.place(afterIndex: index, at: branch.place)
        let sum = branch.sum + logProbability
        if candidates[row][index] == endToken {
          sums[place] = sum
        } else {
          following.append(Branch(parent: row, token: candidates[row][index], place: place, sum: sum))
        }
      }
    }
    for row in 0..<decoder.rows {
      scoring.multiplyAdds += made.costs[row].run
      scoring.fullMultiplyAdds += made.costs[row].full
    }
    return following
  }

  private func logProbabilities(_ tokens: [Int], _ row: Int, _ made: DecodedStep) throws(MueError) -> [Double] {
    var logits: [Double] = []
    for (index, token) in tokens.enumerated() {
      logits.append(Double(try made.logit(row: row, candidate: index, token: token)))
    }
    if normalization == .answers {
      TokenRanking.logSoftmax(&logits)
      return logits
    }
    let normalizer = try made.normalizer(row: row)
    return logits.map { $0 - normalizer }
  }
}
