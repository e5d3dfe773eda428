import CKernels
import Tensor

/// What one step of decoding leaves. It belongs to the decoder and is valid until the next step; its memory is used
/// again, so that a step allocates nothing.
final class DecodedStep {
  /// The layer each row left at.
  var exits: [Int] = []
  /// What the step cost each row.
  var costs: [RowCost] = []
  /// [row][layer], when asked for.
  var similarities: [[Double]]?
  /// [rows, vocabulary]; nil when only the candidates were computed, or `screened` has them.
  var logits: UnsafePointer<Float>?
  var vocabulary = 0
  /// The logits of the candidates that were asked for, [row][candidate], where `hasCandidatesOnly`.
  var candidates: [[Float]] = []
  var hasCandidatesOnly = false
  /// Where the vocabulary is screened: logits as they are needed.
  var screened: ScreenedLogits?
  var layersMilliseconds = 0.0
  var headMilliseconds = 0.0
  /// `mk_pool *` for what is still to be found in the logits; nil: one thread.
  let pool: OpaquePointer?

  init(pool: OpaquePointer? = nil) { self.pool = pool }

  /// Forgets the last step.
  func begin(rows: Int, recordsSimilarities: Bool) {
    exits.resize(to: rows, with: 0)
    costs.resize(to: rows, with: RowCost())
    while candidates.count < rows { candidates.append([]) }
    similarities = recordsSimilarities ? [[Double]](repeating: [], count: rows) : nil
    logits = nil
    hasCandidatesOnly = false
  }

  func logits(row: Int) throws(MueError) -> UnsafePointer<Float> {
    if let logits { return logits + row * vocabulary }
    guard let screened else { throw MueError(.internal, "a step without logits") }
    return try screened.exactLogits() + row * vocabulary
  }

  /// The logit of `token`, the `index`-th of this row's candidates if any were asked for.
  func logit(row: Int, candidate index: Int, token: Int) throws(MueError) -> Float {
    if hasCandidatesOnly { return candidates[row][index] }
    guard token >= 0, token < vocabulary else {
      throw MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
    }
    if let screened, screened.normalizer(row: row) != nil { return try screened.logit(row: row, token: token) }
    return try logits(row: row)[token]
  }

  /// The logarithm of the sum of all exponentials of a row's logits.
  func normalizer(row: Int) throws(MueError) -> Double {
    if logits == nil, let known = screened?.normalizer(row: row) { return known }
    return Double(mk_logsumexp(try logits(row: row), vocabulary))
  }
}

extension Array {
  /// `count` times the same element, in the memory that is there.
  mutating func resize(to count: Int, with element: Element) {
    removeAll(keepingCapacity: true)
    for _ in 0..<count { append(element) }
  }
}
