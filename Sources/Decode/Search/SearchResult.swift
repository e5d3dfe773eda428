/// A hypothesis that a search found for one sample.
public struct SearchResult {
  /// Without what the decoder read first; the end token, when it came, is the last.
  public internal(set) var tokens: [Int] = []
  public internal(set) var logProbabilities: [Double] = []
  /// What hypotheses are ranked by: their log-probability divided by their length to the length penalty.
  public internal(set) var score = 0.0
  /// The layer each token's decoder row left at.
  public internal(set) var exits: [Int] = []
  /// [token][layer]
  public internal(set) var similarities: [[Double]] = []
  public internal(set) var isFinished = false

  /// Makes room for `count` tokens.
  mutating func reserve(_ count: Int) {
    tokens.reserveCapacity(count)
    logProbabilities.reserveCapacity(count)
    exits.reserveCapacity(count)
  }

  mutating func append(_ next: NextToken, exit: Int) {
    tokens.append(next.token)
    logProbabilities.append(next.logProbability)
    exits.append(exit)
  }
}

/// What a search found for one sample, and what it cost.
public struct SearchOutcome {
  /// Best first; at least one.
  public internal(set) var hypotheses: [SearchResult] = []
  public internal(set) var multiplyAdds = 0
  public internal(set) var fullMultiplyAdds = 0
  public internal(set) var layersMilliseconds = 0.0
  public internal(set) var headMilliseconds = 0.0

  mutating func charge(_ cost: RowCost) {
    multiplyAdds += cost.run
    fullMultiplyAdds += cost.full
  }
}

/// What a listener of a search wants next.
public enum SearchDecision: Sendable {
  case proceed
  case stop
}
