/// What a search is told beside the inputs. Source: docs/generation.md.
public struct SearchOptions: Equatable, Sendable {
  /// 1 is greedy search.
  public var beams = 1
  /// Hypotheses wanted of a beam search, at most `beams`.
  public var hypotheses = 1
  /// Most tokens to generate. A beam search ends each hypothesis behind them; a greedy one is cut there.
  public var maxTokens: Int
  /// Tokens that must come before the end token.
  public var minTokens = 0
  public var endToken: Int
  /// Never chosen by a beam search.
  public var padToken: Int?
  /// A hypothesis' log-probability is divided by its number of tokens, the end token included, to this power.
  public var lengthPenalty = 1.0
  /// No sequence of so many tokens comes twice in a hypothesis; 0 allows all.
  public var noRepeatNgramSize = 0
  /// What may be said at all; nil is anything.
  public var allowed: AllowedTokens?

  public init(maxTokens: Int, endToken: Int) {
    self.maxTokens = maxTokens
    self.endToken = endToken
  }

  /// Steps of a greedy search: a closed set of answers is walked to the end.
  var greedySteps: Int { maxTokens + (allowed?.isClosed == true ? 1 : 0) }

  /// Steps that a decoder of this search must have room for.
  var steps: Int { beams == 1 ? greedySteps : maxTokens + 1 }

  /// A hypothesis' rank: its log-probability divided by `tokens` to the length penalty.
  func score(_ logProbability: Double, tokens: Int) -> Double {
    logProbability / power(Double(max(tokens, 1)), lengthPenalty)
  }

  /// Tokens that may not follow `history`, of which the last `generated` were generated, into `excluded`.
  func findExcluded(after history: [Int], generated: Int, into excluded: inout [Int]) {
    excluded.removeAll(keepingCapacity: true)
    // What a closed set holds may be said, repeated or not.
    if allowed?.isClosed != true {
      RepeatedNGrams.addCompletions(of: history, size: noRepeatNgramSize, to: &excluded)
    }
    if generated < minTokens { excluded.append(endToken) }
    if beams > 1, let padToken { excluded.append(padToken) }
  }

  /// How many tokens may be excluded at once, within reason: as many as came, the end and the padding.
  func mostExcluded(prefix: Int) -> Int { 2 + (noRepeatNgramSize > 0 ? Self.room(prefix + steps) : 0) }

  /// Elements to make room for when so many are the most that may come: all of them, within reason.
  static func room(_ most: Int) -> Int { min(max(most, 0), 1 << 12) }
}
