import CKernels
import Tensor

/// Finds the tokens that may follow a hypothesis. Its memory is used again from step to step.
struct TokenRanking {
  /// What was found last, best first; ties by token.
  private(set) var found: [NextToken] = []
  // Of the rows in `looked`: the `taken` largest logits, and the logarithm of the sum of all exponentials.
  private var looked = 0..<0
  private var taken = 0
  private var values: [Float] = []
  private var indices: [mk_int] = []
  private var normalizers: [Float] = []
  private var logProbabilities: [Double] = []

  /// Makes room to find `count` tokens beside `excluded` others, in so many rows that are looked at together.
  mutating func reserve(_ count: Int, excluded: Int, rows: Int = 1) {
    found.reserveCapacity(count)
    values.reserveCapacity((count + excluded) * rows)
    indices.reserveCapacity((count + excluded) * rows)
    normalizers.reserveCapacity(rows)
  }

  /// Looks at the logits of `rows` by all threads at once, so that `rank` finds up to `count` tokens of each beside
  /// `excluded` others at hand. It stands until it is called again: once for each step that is not screened, or never.
  mutating func look(at rows: Range<Int>, _ count: Int, excluded: Int, in made: DecodedStep) throws(MueError) {
    looked = rows
    taken = min(count + excluded, made.vocabulary)
    values.resize(to: taken * rows.count, with: 0)
    indices.resize(to: taken * rows.count, with: 0)
    normalizers.resize(to: rows.count, with: 0)
    mk_rank_rows(
      made.pool, rows.count, made.vocabulary, try made.logits(row: rows.lowerBound), made.vocabulary, taken, &values,
      &indices, &normalizers)
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
    if let leading = made.screened?.leading(row: row) {
      found.append(contentsOf: leading.prefix(count))
      return
    }
    let isAlone = !looked.contains(row)
    if isAlone { try look(at: row..<row + 1, count, excluded: excluded.count, in: made) }
    let first = (row - looked.lowerBound) * taken
    let normalizer = Double(normalizers[row - looked.lowerBound])
    if isAlone { looked = 0..<0 }
    let count = min(count, made.vocabulary)
    for place in first..<first + taken where found.count < count {
      let (value, token) = (values[place], indices[place])
      if excluded.contains(token) { continue }
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
      logProbability = Double(try made.logit(row: row, candidate: 0, token: token)) - (try made.normalizer(row: row))
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
