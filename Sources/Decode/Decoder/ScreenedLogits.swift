import CKernels
import Kernels
import Tensor

/// The logits of one step where the vocabulary is screened: approximations of all, exact ones of those that matter, and
/// all of them exactly when that is asked for or the approximations do not decide. Memory is used again by every step.
///
/// The most probable token is certain: each token that the approximations' bounds leave a chance is computed exactly
/// (in double precision, rounded once). Its log-probability is that exact logit less the logarithm of a sum in which the
/// `exactTerms` largest terms are exact too and the others, of which there may be many but each is small, are
/// approximations.
final class ScreenedLogits {
  /// More candidates than that are no gain over the whole product.
  static let mostCandidates = 256
  static let exactTerms = 32
  /// Rows that so many steps have read stay in memory: most steps read ones that another one has read.
  private static let stepsOfRows = 8
  /// After so many steps in which the approximations did not decide they are left out.
  private static let mostFailures = 3

  private let screen: VocabularyScreen
  private let context: ComputeContext
  private var rows = 0
  /// [rows, width]
  private var hidden: UnsafePointer<Float>?
  /// [rows, vocabulary]
  private var approximations: Buffer?
  private var exact: Buffer?
  private var isExact = false
  /// Screened steps since rows of the weights were given back to the system.
  private var steps = 0
  private(set) var isScreened = false
  private var failures = 0
  private var candidates = [mk_int](repeating: 0, count: mostCandidates + exactTerms)
  private var largest = [Float](repeating: 0, count: exactTerms)
  private var kept: [Float] = []

  init(_ screen: VocabularyScreen, _ context: ComputeContext) {
    self.screen = screen
    self.context = context
    kept.reserveCapacity(Self.mostCandidates)
  }

  deinit { releaseRows() }

  private func releaseRows() {
    screen.releaseWeights()
    steps = 0
  }

  /// A new step.
  ///
  /// - Parameters:
  ///   - hidden: [rows, width], valid until the next step.
  ///   - onlyBest: whether the most probable tokens are enough.
  func begin(_ hidden: UnsafePointer<Float>, rows: Int, onlyBest: Bool) throws(MueError) {
    self.hidden = hidden
    self.rows = rows
    isExact = false
    isScreened = onlyBest && failures < Self.mostFailures
    guard isScreened else {
      _ = try exactLogits()
      return
    }
    context.workspace.trace?.begin("vocabulary in eight bits")
    defer { context.workspace.trace?.end() }
    if steps == Self.stepsOfRows { releaseRows() }
    steps += 1
    let approximations = try room(&approximations)
    let (width, count) = (screen.width, screen.count)
    try context.workspace.scratch.reserve(
      Int(clamping: mk_linear_scratch(context.pool, MK_WEIGHTS_INT8, min(rows, MK_NARROW_ROWS), width, count)))
    // Few rows at a time: more of them would be quantised too, and the bounds are for states as they are.
    for first in stride(from: 0, to: rows, by: MK_NARROW_ROWS) {
      mk_linear(
        context.pool, MK_WEIGHTS_INT8, min(rows - first, MK_NARROW_ROWS), width, count,
        hidden + first * width, width, screen.packed, screen.weights.biases, MK_ACT_NONE, nil, 0,
        approximations + first * count, count, context.workspace.scratch.base)
    }
  }

  /// All logits, [rows, vocabulary].
  func exactLogits() throws(MueError) -> UnsafePointer<Float> {
    let target = try room(&exact)
    guard let hidden else { throw MueError(.internal, "logits before a step") }
    context.workspace.trace?.begin("vocabulary")
    defer { context.workspace.trace?.end() }
    if !isExact {
      screen.keepWeights()
      try screen.weights.product(hidden, rows: rows, into: target, context.pool)
    }
    isExact = true
    return UnsafePointer(target)
  }

  /// The most probable token of a row that is not excluded, the smallest among equals; nil when the approximations do
  /// not decide: then the exact logits do.
  func best(row: Int, excluded: [Int]) throws(MueError) -> NextToken? {
    guard isScreened, let hidden else { return nil }
    let count = screen.count
    let state = hidden + row * screen.width
    let logits = try room(&approximations) + row * count
    var square = 0.0
    for channel in 0..<screen.width { square += Double(state[channel]) * Double(state[channel]) }
    let norm = Float(square.squareRoot() * (1 + 1e-6))
    guard norm.isFinite else { return undecided() }

    // Excluded tokens have their part in the sum, but no say in which is best.
    kept.removeAll(keepingCapacity: true)
    guard excluded.count <= Self.mostCandidates else { return undecided() }
    for token in excluded where token >= 0 && token < count {
      kept.append(logits[token])
      logits[token] = -.infinity
    }
    let floor = mk_screen_floor(count, logits, screen.bounds, norm)
    let found = mk_screen_candidates(
      count, logits, screen.bounds, norm, floor, Self.mostCandidates, &candidates)
    for token in excluded.reversed() where token >= 0 && token < count { logits[token] = kept.removeLast() }
    guard floor > -.infinity, found <= Self.mostCandidates else { return undecided() }

    var best = (token: -1, logit: -Float.infinity)
    for index in 0..<found {
      let token = candidates[index]
      let logit = try screen.weights.logit(state, token: token)
      logits[token] = logit
      // False for NaN too.
      if logit > best.logit, !excluded.contains(token) { best = (token, logit) }
    }
    guard best.token >= 0, best.logit.isFinite else { return undecided() }
    let terms = min(Self.exactTerms, count)
    mk_topk(logits, count, terms, &largest, &candidates)
    for index in 0..<terms { logits[candidates[index]] = try screen.weights.logit(state, token: candidates[index]) }
    let logProbability = Double(best.logit) - Double(mk_logsumexp(logits, count))
    guard logProbability > -.infinity else { return undecided() }
    failures = 0
    return NextToken(token: best.token, logProbability: logProbability)
  }

  private func undecided() -> NextToken? {
    failures += 1
    return nil
  }

  private func room(_ buffer: inout Buffer?) throws(MueError) -> UnsafeMutablePointer<Float> {
    let bytes = try Shape.byteCount([rows, screen.count], .float32)
    if let buffer, buffer.byteCount >= bytes { return buffer.base.assumingMemoryBound(to: Float.self) }
    let made = try Buffer(byteCount: bytes)
    buffer = made
    return made.base.assumingMemoryBound(to: Float.self)
  }
}
