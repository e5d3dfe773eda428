import CKernels
import Tensor

/// Finds the tokens that may follow a hypothesis. Its memory is used again from step to step.
struct TokenRanking {
  /// What was found last, best first; ties by token.
  private(set) var found: [NextToken] = []
  private var values: [Float] = []
  private var indices: [mk_int] = []
  private var logProbabilities: [Double] = []

  /// Makes room to find `count` tokens beside `excluded` others.
  mutating func reserve(_ count: Int, excluded: Int) {
    found.reserveCapacity(count)
    values.reserveCapacity(count + excluded)
    indices.reserveCapacity(count + excluded)
  }

  /// The most probable tokens of a row into `found`. Logits that are no number count as never.
  ///
  /// - Parameters:
  ///   - allowed: the only tokens that take part, ascending; nil for the whole vocabulary. Probabilities are normalised
  ///     over them, as OFA does.
  ///   - excluded: tokens that take part but are not chosen.
  mutating func rank(
    _ count: Int, of row: Int, in made: DecodedStep, allowed: [Int]?, excluded: [Int]
  ) throws(MueError) {
    found.removeAll(keepingCapacity: true)
    if let allowed {
      try normalize(allowed, of: row, in: made)
      for (token, logProbability) in zip(allowed, logProbabilities)
      where logProbability > -.infinity && !excluded.contains(token) {
        insert(NextToken(token: token, logProbability: logProbability), among: count)
      }
      return
    }
    if count == 1, let next = try made.screened?.best(row: row, excluded: excluded) {
      found.append(next)
      return
    }
    let logits = try made.logits(row: row)
    let normalizer = Double(mk_logsumexp(logits, made.vocabulary))
    let count = min(count, made.vocabulary)
    let taken = min(count + excluded.count, made.vocabulary)
    values.resize(to: taken, with: 0)
    indices.resize(to: taken, with: 0)
    mk_topk(logits, made.vocabulary, taken, &values, &indices)
    for (value, token) in zip(values, indices) where found.count < count && !excluded.contains(token) {
      let logProbability = Double(value) - normalizer
      // False for NaN too.
      if logProbability > -.infinity { found.append(NextToken(token: token, logProbability: logProbability)) }
    }
  }

  /// One token into `found`, nothing when it may not come.
  mutating func only(_ token: Int, of row: Int, in made: DecodedStep, allowed: [Int]?) throws(MueError) {
    found.removeAll(keepingCapacity: true)
    var logProbability = -Double.infinity
    if let allowed {
      try normalize(allowed, of: row, in: made)
      if let index = allowed.firstIndex(of: token) { logProbability = logProbabilities[index] }
    } else if token >= 0, token < made.vocabulary {
      let logits = try made.logits(row: row)
      logProbability = Double(logits[token]) - Double(mk_logsumexp(logits, made.vocabulary))
    }
    if logProbability > -.infinity { found.append(NextToken(token: token, logProbability: logProbability)) }
  }

  /// Keeps the `count` best. Tokens come in ascending order, so that equals stay in it.
  private mutating func insert(_ next: NextToken, among count: Int) {
    var place = found.count
    while place > 0, next.logProbability > found[place - 1].logProbability { place -= 1 }
    guard place < count else { return }
    if found.count == count { found.removeLast() }
    found.insert(next, at: place)
  }

  /// The log-probabilities of `allowed`, normalised over them.
  private mutating func normalize(_ allowed: [Int], of row: Int, in made: DecodedStep) throws(MueError) {
    logProbabilities.removeAll(keepingCapacity: true)
    for (index, token) in allowed.enumerated() {
      logProbabilities.append(Double(try made.logit(row: row, candidate: index, token: token)))
    }
    Self.logSoftmax(&logProbabilities)
  }

  /// Logits to the natural logarithms of the probabilities that they stand for; NaN counts as never.
  static func logSoftmax(_ logits: inout [Double]) {
    var largest = -Double.infinity
    for index in logits.indices {
      if logits[index].isNaN { logits[index] = -.infinity }
      largest = max(largest, logits[index])
    }
    guard largest > -.infinity else { return }
    var sum = 0.0
    for logit in logits { sum += exponential(logit - largest) }
    let normalizer = largest + logarithm(sum)
    for index in logits.indices { logits[index] -= normalizer }
  }
}
