import CKernels
import Tensor

/// A token that may follow a hypothesis.
struct NextToken {
  var token: Int
  /// Over the allowed tokens, or the whole vocabulary where all are.
  var logProbability: Double

  /// The most probable tokens of a row, best first; ties by token. Logits that are no number count as never.
  ///
  /// - Parameters:
  ///   - allowed: the only tokens that take part, ascending; nil for the whole vocabulary. Probabilities are normalised
  ///     over them, as OFA does.
  ///   - excluded: tokens that take part but are not chosen.
  static func best(
    _ count: Int, of row: Int, in made: DecodedStep, allowed: [Int]?, excluded: [Int]
  ) throws(MueError) -> [NextToken] {
    if let allowed {
      return try among(allowed, of: row, in: made).filter { !excluded.contains($0.token) }
        .sorted { ($0.logProbability, -$0.token) > ($1.logProbability, -$1.token) }.prefix(count).map { $0 }
    }
    let logits = try made.logits(row: row)
    let normalizer = Double(mk_logsumexp(logits, made.vocabulary))
    let count = min(count, made.vocabulary)
    let taken = min(count + excluded.count, made.vocabulary)
    var values = [Float](repeating: 0, count: taken)
    var indices = [mk_int](repeating: 0, count: taken)
    mk_topk(logits, made.vocabulary, taken, &values, &indices)
    var found: [NextToken] = []
    for (value, token) in zip(values, indices) where found.count < count && !excluded.contains(token) {
      let logProbability = Double(value) - normalizer
      // False for NaN too.
      if logProbability > -.infinity { found.append(NextToken(token: token, logProbability: logProbability)) }
    }
    return found
  }

  /// The probability of one token, nil when it may not come.
  static func only(
    _ token: Int, of row: Int, in made: DecodedStep, allowed: [Int]?
  ) throws(MueError) -> NextToken? {
    if let allowed { return try among(allowed, of: row, in: made).first { $0.token == token } }
    let logits = try made.logits(row: row)
    guard token >= 0, token < made.vocabulary else { return nil }
    let logProbability = Double(logits[token]) - Double(mk_logsumexp(logits, made.vocabulary))
    return logProbability > -.infinity ? NextToken(token: token, logProbability: logProbability) : nil
  }

  /// All of `allowed` that have a probability, normalised over them.
  private static func among(_ allowed: [Int], of row: Int, in made: DecodedStep) throws(MueError) -> [NextToken] {
    let logits = try made.logits(row: row, of: allowed)
    return zip(allowed, logSoftmax(logits)).filter { $0.1 > -.infinity }
      .map { NextToken(token: $0.0, logProbability: $0.1) }
  }

  /// Natural logarithms of the probabilities that logits stand for; NaN counts as never.
  static func logSoftmax(_ logits: [Float]) -> [Double] {
    let values = logits.map { $0.isNaN ? -.infinity : Double($0) }
    guard let largest = values.max(), largest > -.infinity else { return values }
    let normalizer = largest + logarithm(values.reduce(0) { $0 + exponential($1 - largest) })
    return values.map { $0 - normalizer }
  }
}
