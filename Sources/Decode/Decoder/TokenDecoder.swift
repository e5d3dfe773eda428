import Tensor

/// The multiply-adds of a row, as run and at full depth.
struct RowCost {
  var run = 0
  var full = 0
}

/// The logits that a step is asked for.
enum WantedLogits {
  /// Of the whole vocabulary, exactly.
  case all
  /// What it takes to find the most probable tokens, and log-probabilities of single ones.
  case leading(LeadingTokens)
  /// For each row only those of these tokens.
  case of([[Int]])

  init(_ candidates: [[Int]]?, else other: WantedLogits) {
    if let candidates { self = .of(candidates) } else { self = other }
  }

  var candidates: [[Int]]? {
    if case .of(let candidates) = self { return candidates }
    return nil
  }
}

/// Turns one more token per row into the logits of the next: with a cache, or by running the whole prefix again.
protocol TokenDecoder: AnyObject {
  var rows: Int { get }
  var sampleOfRow: [Int] { get }
  /// What reading the prefixes cost each row.
  var prefixCosts: [RowCost] { get }
  /// Multiply-adds of a sample's cross keys and values, as run and at full depth.
  func crossCost(sample: Int) -> (run: Int, full: Int)
  /// Reads what comes before the first step, for each row; all of one length. A teacher-forced pass: one exit decision
  /// for all positions of a row, at the threshold without its schedule.
  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError)
  func step(
    tokens: [Int], threshold: Double, options: RunOptions, logits wanted: WantedLogits
  ) throws(MueError) -> DecodedStep
  /// Lets row r go on as row `parents[r]`; there may be more or fewer rows than before.
  func reorder(parents: [Int]) throws(MueError)
  /// A decoder of its own whose row r goes on as row `parents[r]` of this one.
  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder
}
