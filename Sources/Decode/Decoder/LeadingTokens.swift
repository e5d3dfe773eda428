/// Which tokens a search will look at after a step: the most probable continuations of each sample, over all of its rows.
struct LeadingTokens {
  /// Of each sample; none where only the log-probabilities of tokens that are named later matter.
  var count = 0
  /// The sample of each row; those of a sample side by side.
  var samples: [Int] = []
  /// What the log-probabilities of each row's tokens are added to when rows of a sample compete.
  var scores: [Double] = []
  /// Rows that have ended: nothing is wanted of them.
  var isOver: [Bool] = []
  /// The tokens of each row that take part in its sum, but are not chosen. At least as many as there are rows.
  var excluded: [[Int]] = []

  /// Whether log-probabilities of different rows are compared.
  var competes: Bool { zip(samples, samples.dropFirst()).contains { $0 == $1 } }

  /// Of any row.
  var mostExcluded: Int { samples.indices.reduce(0) { max($0, excluded[$1].count) } }

  /// Makes room for so many rows and excluded tokens of each.
  mutating func reserve(rows: Int, excluded most: Int) {
    samples.reserveCapacity(rows)
    scores.reserveCapacity(rows)
    isOver.reserveCapacity(rows)
    while excluded.count < rows {
      excluded.append([])
      excluded[excluded.count - 1].reserveCapacity(most)
    }
  }

  /// Forgets all rows; their memory is used again.
  mutating func begin(_ count: Int) {
    self.count = count
    samples.removeAll(keepingCapacity: true)
    scores.removeAll(keepingCapacity: true)
    isOver.removeAll(keepingCapacity: true)
  }

  /// One more row. Its excluded tokens are for the caller to fill in.
  mutating func append(sample: Int, score: Double = 0, isOver: Bool = false) {
    samples.append(sample)
    scores.append(score)
    self.isOver.append(isOver)
    while excluded.count < samples.count { excluded.append([]) }
  }
}
