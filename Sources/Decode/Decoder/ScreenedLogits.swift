import CKernels
import Kernels
import Tensor

/// The logits of one step where the vocabulary is screened: approximations of all, exact ones of those that matter, and
/// all of them exactly when that is asked for or the approximations do not decide. Memory is used again by every step.
///
/// The leading tokens are as certain as the approximations' bounds: each token that they leave a chance is computed exactly (in
/// double precision, rounded once). Log-probabilities are exact logits less the logarithm of a sum in which at least the
/// largest terms are exact too and the others, of which there may be many but each is small, are approximations.
final class ScreenedLogits {
  /// More candidates of a row than that are no gain over the whole product. Where bounds are not certain, the largest terms then
  /// stand for them.
  static let mostCandidates = 256
  private static let exactTerms = (certain: 32, uncertain: 64)
  /// After so many rows of the weights were read from the file its pages are given back to the system.
  private static let mostRowsRead = 128
  /// After so many rows in succession in which the approximations did not decide they are left out.
  private static let mostFailures = 3
  /// By how much a competitor's normalizer may still change when its candidates are computed.
  private static let normalizerSlack = 0.01

  /// What is known of a row.
  private struct Row {
    var norm: Float = 0
    var normalizer = 0.0
    var isDecided = false
    /// In `leading`.
    var found = 0..<0
  }

  private let screen: VocabularyScreen
  private let context: ComputeContext
  private var rows: [Row] = []
  /// [rows, width]
  private var hidden: UnsafePointer<Float>?
  /// [rows, vocabulary]
  private var approximations: Tensor?
  private var exact: Tensor?
  private var isExact = false
  private var cache: VocabularyRowCache
  private(set) var isScreened = false
  private var failures = 0
  private var leading: [NextToken] = []

  // The largest approximations, [row][taken], and the candidates beside them, [row][mostCandidates].
  private var taken = 0
  private var largest: [Float] = []
  private var tokens: [mk_int] = []
  /// The last of each row before it was computed exactly. No other one is larger; one that is no number is in the normalizer.
  private var smallestTaken: [Float] = []
  private var normalizers: [Float] = []
  private var norms: [Float] = []
  private var floors: [Float] = []
  private var candidates: [mk_int] = []
  private var counts: [mk_int] = []
  private var logits = [Float](repeating: 0, count: mostCandidates)
  private var best: [Double] = []

  init(_ screen: VocabularyScreen, _ context: ComputeContext) {
    self.screen = screen
    self.context = context
    cache = VocabularyRowCache(screen.weights, context.workspace.spares)
  }

  deinit {
    releaseRows()
    let spares = context.workspace.spares
    if let memory = approximations.take() { spares.keep(memory) }
    if let memory = exact.take() { spares.keep(memory) }
    cache.giveBack()
  }

  private func releaseRows() {
    screen.releaseWeights()
    cache.readCount = 0
  }

  /// A new step.
  ///
  /// - Parameters:
  ///   - hidden: [rows, width], valid until the next step.
  ///   - wanted: nil for all logits, exactly.
  func begin(_ hidden: UnsafePointer<Float>, rows count: Int, wanted: LeadingTokens?) throws(MueError) {
    self.hidden = hidden
    rows.resize(to: count, with: Row())
    leading.removeAll(keepingCapacity: true)
    isExact = false
    isScreened = wanted != nil && failures < Self.mostFailures
    guard isScreened, let wanted else {
      _ = try exactLogits()
      return
    }
    context.workspace.trace?.begin("vocabulary screen")
    defer { context.workspace.trace?.end() }
    if cache.readCount >= Self.mostRowsRead { releaseRows() }
    try approximate(hidden)
    try normalize(hidden, wanted)
    try findCandidates(wanted)
    for row in rows.indices where !wanted.isOver[row] {
      try collect(row, hidden, wanted)
      failures = rows[row].isDecided ? 0 : failures + 1
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
      try screen.weights.product(hidden, rows: rows.count, into: target, context.pool)
    }
    isExact = true
    return UnsafePointer(target)
  }

  /// The most probable tokens of a row that are not excluded, best first, the smaller first among equals: as many as were
  /// wanted, or those of them that can be among the wanted ones of its sample. nil when the approximations do not decide:
  /// then the exact logits do.
  func leading(row: Int) -> ArraySlice<NextToken>? {
    isScreened && rows[row].isDecided ? leading[rows[row].found] : nil
  }

  /// The logarithm of the sum of all exponentials; nil when it is for the exact logits to say.
  func normalizer(row: Int) -> Double? { isScreened && rows[row].isDecided ? rows[row].normalizer : nil }

  /// One logit, exactly.
  func logit(row: Int, token: Int) throws(MueError) -> Float {
    guard let hidden else { throw MueError(.internal, "logits before a step") }
    return try screen.weights.logit(hidden + row * screen.width, token: token)
  }

  private func approximate(_ hidden: UnsafePointer<Float>) throws(MueError) {
    let approximations = try room(&approximations)
    let (width, count) = (screen.width, screen.count)
    try context.workspace.scratch.reserve(
      Int(clamping: mk_linear_scratch(context.pool, screen.type, min(rows.count, MK_NARROW_ROWS), width, count)))
    // Few rows at a time: more of them would become bytes in int8 too, and the bounds are for finer states.
    for first in stride(from: 0, to: rows.count, by: MK_NARROW_ROWS) {
      mk_linear(
        context.pool, screen.type, min(rows.count - first, MK_NARROW_ROWS), width, count,
        hidden + first * width, width, screen.packed, screen.weights.biases, MK_ACT_NONE, nil, 0,
        approximations + first * count, count, context.workspace.scratch.base)
    }
  }

  /// The largest terms of each row, exactly, and its normalizer. They are no candidates any more.
  private func normalize(_ hidden: UnsafePointer<Float>, _ wanted: LeadingTokens) throws(MueError) {
    let (width, count) = (screen.width, screen.count)
    let approximations = try room(&approximations)
    let terms = screen.isCertain ? Self.exactTerms.certain : Self.exactTerms.uncertain
    taken = min(max(terms, wanted.count + wanted.mostExcluded), count)
    largest.resize(to: taken * rows.count, with: 0)
    tokens.resize(to: taken * rows.count, with: 0)
    normalizers.resize(to: rows.count, with: 0)
    mk_rank_rows(
      context.pool, rows.count, count, approximations, count, taken, &largest, &tokens, &normalizers)
    smallestTaken.removeAll(keepingCapacity: true)
    for row in rows.indices { smallestTaken.append(largest[(row + 1) * taken - 1]) }
    for row in rows.indices where !wanted.isOver[row] {
      let state = hidden + row * width
      var square = 0.0
      for channel in 0..<width { square += Double(state[channel]) * Double(state[channel]) }
      rows[row].norm = Float(square.squareRoot() * (1 + 1e-6))
      rows[row].normalizer = Double(normalizers[row])
      rows[row].isDecided = rows[row].norm.isFinite
      try makeExact(row, state, taken, tokens: tokens, at: row * taken, values: &largest, at: row * taken)
      // Infinity would be as good as no number.
      for place in row * taken..<(row + 1) * taken {
        approximations[row * count + tokens[place]] = -.greatestFiniteMagnitude
      }
    }
  }

  /// Which tokens beside the largest terms may be among the wanted ones.
  private func findCandidates(_ wanted: LeadingTokens) throws(MueError) {
    norms.resize(to: rows.count, with: 0)
    floors.resize(to: rows.count, with: .infinity)
    candidates.resize(to: Self.mostCandidates * rows.count, with: 0)
    counts.resize(to: rows.count, with: 0)
    guard wanted.count > 0 else { return }
    var first = 0
    while first < rows.count {
      var end = first + 1
      while end < rows.count, wanted.samples[end] == wanted.samples[first] { end += 1 }
      findFloors(first..<end, wanted)
      first = end
    }
    // Mostly the largest terms are all that may matter: the others are no larger than the last of them.
    if rows.indices.allSatisfy({ !mayReachFloor($0) }) { return }
    mk_screen_rows(
      context.pool, rows.count, screen.count, try room(&approximations), screen.count, screen.bounds, norms, floors,
      Self.mostCandidates, &candidates, &counts)
    if screen.isCertain { return }
    for row in rows.indices where counts[row] > Self.mostCandidates { counts[row] = 0 }
  }

  /// Whether a token beside the largest terms may reach the floor of its row. True where that is not a number.
  private func mayReachFloor(_ row: Int) -> Bool {
    guard rows[row].isDecided else { return false }
    let approximation = smallestTaken[row]
    return !(approximation + mk_screen_margin(approximation, screen.largestBound, norms[row]) < floors[row])
  }

  /// The logit that a token of each row of a sample must reach: one that enough tokens reach.
  private func findFloors(_ group: Range<Int>, _ wanted: LeadingTokens) {
    best.removeAll(keepingCapacity: true)
    // A row alone competes with none: its floor is a logit as it is.
    func offset(_ row: Int) -> Double { group.count > 1 ? wanted.scores[row] - rows[row].normalizer : 0 }
    for row in group where rows[row].isDecided {
      for place in row * taken..<(row + 1) * taken where !wanted.excluded[row].contains(tokens[place]) {
        insertBest(Double(largest[place]) + offset(row), among: wanted.count)
      }
    }
    for row in group where rows[row].isDecided {
      guard best.count == wanted.count else {
        rows[row].isDecided = false
        continue
      }
      norms[row] = rows[row].norm
      floors[row] = Float(best[best.count - 1] - offset(row) - (group.count > 1 ? Self.normalizerSlack : 0)).nextDown
    }
  }

  private func insertBest(_ value: Double, among count: Int) {
    guard best.count < count || value > best[count - 1] else { return }
    if best.count == count { best.removeLast() }
    var place = best.count
    while place > 0, value > best[place - 1] { place -= 1 }
    best.insert(value, at: place)
  }

  /// The leading tokens of a row, from its largest terms and its candidates.
  private func collect(_ row: Int, _ hidden: UnsafePointer<Float>, _ wanted: LeadingTokens) throws(MueError) {
    guard rows[row].isDecided, counts[row] <= Self.mostCandidates else {
      rows[row].isDecided = false
      return
    }
    let (begin, first) = (leading.count, row * Self.mostCandidates)
    let approximations = try room(&approximations) + row * screen.count
    for index in 0..<counts[row] { logits[index] = approximations[candidates[first + index]] }
    try makeExact(row, hidden + row * screen.width, counts[row], tokens: candidates, at: first, values: &logits, at: 0)
    guard rows[row].isDecided, wanted.count > 0 else { return }
    for place in row * taken..<(row + 1) * taken {
      insert(tokens[place], largest[place], since: begin, row, wanted)
    }
    for index in 0..<counts[row] { insert(candidates[first + index], logits[index], since: begin, row, wanted) }
    for place in begin..<leading.count { leading[place].logProbability -= rows[row].normalizer }
    rows[row].found = begin..<leading.count
    rows[row].isDecided = leading.count > begin
  }

  /// Puts a token with its logit where it belongs among those since `begin`.
  private func insert(_ token: Int, _ logit: Float, since begin: Int, _ row: Int, _ wanted: LeadingTokens) {
    guard !wanted.excluded[row].contains(token) else { return }
    let next = NextToken(token: token, logProbability: Double(logit))
    func precedes(_ other: NextToken) -> Bool {
      (next.logProbability, -next.token) > (other.logProbability, -other.token)
    }
    guard leading.count - begin < wanted.count || leading.last.map(precedes) == true else { return }
    if leading.count - begin == wanted.count { leading.removeLast() }
    var place = leading.count
    while place > begin, precedes(leading[place - 1]) { place -= 1 }
    leading.insert(next, at: place)
  }

  /// Replaces `count` approximate logits of a row by exact ones, in its normalizer too. A row with one that is no number is
  /// left to the exact logits.
  private func makeExact(
    _ row: Int, _ state: UnsafePointer<Float>, _ count: Int, tokens: [mk_int], at firstToken: Int,
    values: inout [Float], at first: Int
  ) throws(MueError) {
    guard rows[row].isDecided, count > 0 else { return }
    let normalizer = rows[row].normalizer
    var change = 0.0
    for index in first..<first + count { change -= exponential(Double(values[index]) - normalizer) }
    try tokens.withUnsafeBufferPointer { tokens throws(MueError) in
      try values.withUnsafeMutableBufferPointer { values throws(MueError) in
        guard let tokens = tokens.baseAddress, let values = values.baseAddress else { return }
        try cache.logits(state, tokens: tokens + firstToken, count: count, into: values + first, context.pool)
      }
    }
    for index in first..<first + count { change += exponential(Double(values[index]) - normalizer) }
    rows[row].normalizer = normalizer + logarithm(1 + change)
    // What remains must be more than the rounding of what was taken away.
    rows[row].isDecided = change > -0.99 && rows[row].normalizer.isFinite
  }

  private func room(_ memory: inout Tensor?) throws(MueError) -> UnsafeMutablePointer<Float> {
    let count = try Shape.elementCount([rows.count, screen.count])
    if let memory, memory.count >= count { return memory.pointer.assumingMemoryBound(to: Float.self) }
    let spares = context.workspace.spares
    if let small = memory.take() { spares.keep(small) }
    let made = try spares.tensor(.float32, [count], isLent: false)
    memory = made
    return made.pointer.assumingMemoryBound(to: Float.self)
  }
}
