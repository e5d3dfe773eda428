import Exit

/// What a search is told beside the inputs.
public struct SearchOptions {
  public var run: RunOptions
  public var beams: Int
  /// Most tokens to generate, the end token included.
  public var maxTokens: Int
  public var startToken: Int
  public var endToken: Int
  /// Beam search divides a hypothesis' log-probability by its length to this power.
  public var lengthPenalty: Double

  public init(
    run: RunOptions, beams: Int = 1, maxTokens: Int, startToken: Int, endToken: Int, lengthPenalty: Double = 1
  ) {
    self.run = run
    self.beams = beams
    self.maxTokens = maxTokens
    self.startToken = startToken
    self.endToken = endToken
    self.lengthPenalty = lengthPenalty
  }
}

/// What a search found for one sample.
public struct SearchResult {
  /// Without the start token; the end token, when it came, is the last.
  public internal(set) var tokens: [Int] = []
  public internal(set) var logProbabilities: [Double] = []
  /// The layer each token's decoder row left at.
  public internal(set) var exits: [Int] = []
  /// [token][layer]
  public internal(set) var similarities: [[Double]] = []
  public internal(set) var isFinished = false
  public internal(set) var multiplyAdds = 0
  public internal(set) var fullMultiplyAdds = 0
  public internal(set) var layersMilliseconds = 0.0
  public internal(set) var headMilliseconds = 0.0
}

/// What a listener of a search wants next.
public enum SearchDecision: Sendable {
  case proceed
  case stop
}
