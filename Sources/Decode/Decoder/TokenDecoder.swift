import Tensor

/// The multiply-adds of a row, as run and at full depth.
struct RowCost {
  var run = 0
  var full = 0
}

/// What one step of decoding leaves; the logits are valid until the next step.
struct DecodedStep {
  /// The layer each row left at.
  var exits: [Int]
  /// [row][layer], when asked for.
  var similarities: [[Double]]?
  /// [rows, vocabulary]; nil when only `candidates` were computed.
  var logits: UnsafePointer<Float>?
  var vocabulary = 0
  /// The logits of the candidates that were asked for, [row][candidate], when that was all that was computed.
  var candidates: [[Float]]?
  var layersMilliseconds = 0.0
  var headMilliseconds = 0.0

  init(exits: [Int]) { self.exits = exits }

  func logits(row: Int) throws(MueError) -> UnsafePointer<Float> {
    guard let logits else { throw MueError(.internal, "a step without logits") }
    return logits + row * vocabulary
  }

  /// The logits of `tokens`, which are the candidates of this row if any were asked for.
  func logits(row: Int, of tokens: [Int]) throws(MueError) -> [Float] {
    if let candidates { return candidates[row] }
    let logits = try logits(row: row)
    return try tokens.map { (token) throws(MueError) in
      guard token >= 0, token < vocabulary else {
        throw MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
      }
      return logits[token]
    }
  }
}

/// Turns one more token per row into the logits of the next: with a cache, or by running the whole prefix again.
protocol TokenDecoder: AnyObject {
  var rows: Int { get }
  var sampleOfRow: [Int] { get }
  var costs: [RowCost] { get }
  /// Multiply-adds of a sample's cross keys and values, as run and at full depth.
  func crossCost(sample: Int) -> (run: Int, full: Int)
  /// Reads what comes before the first step, for each row; all of one length. A teacher-forced pass: one exit decision
  /// for all positions of a row, at the threshold without its schedule.
  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError)
  /// - Parameter candidates: for each row the only tokens whose logits are wanted; nil for the whole vocabulary.
  func step(
    tokens: [Int], threshold: Double, options: RunOptions, candidates: [[Int]]?
  ) throws(MueError) -> DecodedStep
  /// Lets row r go on as row `parents[r]`; there may be more or fewer rows than before.
  func reorder(parents: [Int]) throws(MueError)
  /// A decoder of its own whose row r goes on as row `parents[r]` of this one. Costs begin at zero.
  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder
}
