import CKernels
import Kernels
import Tensor
import Testing

@testable import Decode

#if canImport(Glibc)
  import Glibc
#endif

/// Numbers between -1 and 1, and about normal ones, from a seed.
private struct Numbers {
  private var state: UInt64

  init(_ seed: Int) { state = UInt64(seed &* 7919 &+ 17) }

  mutating func uniform() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / Float(1 << 23) - 1
  }

  mutating func normal() -> Float { (0..<6).reduce(0) { sum, _ in sum + uniform() } * 0.7 }

  mutating func index(below count: Int) -> Int { Int((uniform() + 1) / 2 * Float(count)) % count }
}

/// A vocabulary and states, with their logits in double precision.
private struct Case {
  let count: Int
  let width: Int
  let rows: Int
  var matrix: [Float]
  var bias: [Float]?
  var states: [Float]

  /// - Parameter sharpness: how far the states lean to a few tokens: 0 for flat distributions.
  init(_ seed: Int, count: Int, width: Int, rows: Int, sharpness: Float, hasBias: Bool) {
    (self.count, self.width, self.rows) = (count, width, rows)
    var numbers = Numbers(seed)
    matrix = (0..<count * width).map { _ in numbers.normal() * 0.05 }
    bias = hasBias ? (0..<count).map { _ in numbers.normal() } : nil
    states = (0..<rows * width).map { _ in numbers.normal() }
    for row in 0..<rows {
      for _ in 0..<3 {
        let token = numbers.index(below: count)
        for channel in 0..<width { states[row * width + channel] += sharpness * matrix[token * width + channel] }
      }
    }
  }

  /// Sizes that follow from the seed.
  init(_ seed: Int, rows: Int, sharpness: Float) {
    self.init(
      seed, count: [2999, 1000, 517][seed % 3], width: [64, 100, 131][seed / 3 % 3], rows: rows, sharpness: sharpness,
      hasBias: seed % 2 == 0)
  }

  /// Rounded once, as the engine has it.
  func logit(_ row: Int, _ token: Int) -> Float {
    var sum = Double(bias?[token] ?? 0)
    for channel in 0..<width { sum += Double(states[row * width + channel]) * Double(matrix[token * width + channel]) }
    return Float(sum)
  }

  func best(_ row: Int, excluded: [Int]) -> (token: Int, logProbability: Double)? {
    let logits = (0..<count).map { logit(row, $0) }
    var best: (token: Int, logit: Float) = (-1, -.infinity)
    for (token, logit) in logits.enumerated() where logit > best.logit && !excluded.contains(token) {
      best = (token, logit)
    }
    guard best.token >= 0 else { return nil }
    let largest = Double(logits.filter { !$0.isNaN }.max() ?? 0)
    let sum = logits.reduce(0.0) { $1.isNaN ? $0 : $0 + exp(Double($1) - largest) }
    return (best.token, Double(best.logit) - largest - log(sum))
  }

  /// Each row for itself, one token of each.
  func apart(excluding excluded: [[Int]] = []) -> LeadingTokens {
    var wanted = LeadingTokens()
    wanted.begin(1)
    for row in 0..<rows {
      wanted.append(sample: row)
      if row < excluded.count { wanted.excluded[row] = excluded[row] }
    }
    return wanted
  }

  func screened(_ context: ComputeContext) throws -> ScreenedLogits {
    let weights = VocabularyWeights(
      try Tensor(.float32, [count, width], matrix), bias: try bias.map { try Tensor(.float32, [count], $0) },
      transposed: true)
    return ScreenedLogits(try VocabularyScreen(weights, pages: WeightPages(), context: context), context)
  }
}

@Suite struct ScreeningTests {
  /// One screens in eight bits with certain bounds, the other in four.
  static let precisions = [Precision.float32, .int8]

  private func context(_ precision: Precision = .float32) throws -> ComputeContext {
    try ComputeContext(threads: 2, weights: PackedWeights(precision: precision))
  }

  /// How well normalizers are known whose smaller terms are approximations.
  private func slack(_ precision: Precision) -> Double { precision == .int8 ? 3e-2 : 5e-3 }

  @Test(arguments: 0..<24, precisions) func theTokenIsThatOfTheExactLogits(seed: Int, precision: Precision) throws {
    let context = try context(precision)
    let made = Case(seed, rows: 1 + seed % 14, sharpness: [0, 1, 4, 20][seed % 4])
    let screened = try made.screened(context)
    var numbers = Numbers(seed + 1000)
    let excluded = try (0..<made.rows).map { row in
      // The winner itself may be excluded.
      let winner = row % 2 == 1 ? [try #require(made.best(row, excluded: [])).token] : []
      return (0..<seed % 5).map { _ in numbers.index(below: made.count) } + winner
    }
    var decided = 0
    try made.states.withUnsafeBufferPointer { states in
      let states = try #require(states.baseAddress)
      try screened.begin(states, rows: made.rows, wanted: made.apart(excluding: excluded))
      for row in 0..<made.rows {
        let expected = try #require(made.best(row, excluded: excluded[row]))
        guard let found = screened.leading(row: row)?.first else { continue }
        decided += 1
        let normalizer = try #require(screened.normalizer(row: row))
        #expect(abs(Double(made.logit(row, found.token)) - normalizer - found.logProbability) < 1e-9)
        #expect(try screened.logit(row: row, token: found.token) == made.logit(row, found.token))
        #expect(found.token == expected.token)
        #expect(abs(found.logProbability - expected.logProbability) < slack(precision))
      }
      let exact = try screened.exactLogits()
      for index in stride(from: 0, to: made.rows * made.count, by: 37) {
        let expected = made.logit(index / made.count, index % made.count)
        #expect(abs(exact[index] - expected) < 1e-4 * (1 + abs(expected)))
      }
    }
    #expect(decided == made.rows, "the screen should decide for such weights")
  }

  /// Rows of a sample compete: the best continuations of all of them are there, in order, with log-probabilities that add
  /// up to those of exact logits.
  @Test(arguments: 0..<16, precisions) func theLeadingTokensOfCompetingRows(seed: Int, precision: Precision) throws {
    let context = try context(precision)
    let made = Case(seed, rows: 2 + seed % 9, sharpness: [0, 1, 3, 6][seed % 4])
    var numbers = Numbers(seed + 2000)
    var wanted = LeadingTokens()
    wanted.begin(3 + seed % 8)
    // Two samples, rows that have ended, and tokens that may not come.
    for row in 0..<made.rows {
      wanted.append(sample: row < made.rows / 2 ? 4 : 9, score: Double(numbers.normal()), isOver: row == 3)
      for _ in 0..<seed % 4 { wanted.excluded[row].append(numbers.index(below: made.count)) }
      if row % 2 == 0 { wanted.excluded[row].append(try #require(made.best(row, excluded: [])).token) }
    }
    let screened = try made.screened(context)
    try made.states.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: made.rows, wanted: wanted)
    }
    for sample in Set(wanted.samples) {
      var expected: [(row: Int, token: Int, score: Double)] = []
      var found: [(row: Int, token: Int, score: Double)] = []
      for row in 0..<made.rows where wanted.samples[row] == sample && !wanted.isOver[row] {
        let best = try #require(made.best(row, excluded: []))
        let normalizer = Double(made.logit(row, best.token)) - best.logProbability
        for token in 0..<made.count where !wanted.excluded[row].contains(token) {
          expected.append((row, token, wanted.scores[row] + Double(made.logit(row, token)) - normalizer))
        }
        let leading = try #require(screened.leading(row: row), "the screen should decide for such weights")
        #expect(leading.count <= wanted.count)
        let values = leading.map(\.logProbability)
        #expect(values == values.sorted(by: >))
        found += leading.map { (row, $0.token, wanted.scores[row] + $0.logProbability) }
      }
      expected.sort { $0.score > $1.score }
      found.sort { $0.score > $1.score }
      #expect(found.count >= wanted.count)
      for (one, other) in zip(found.prefix(wanted.count), expected) {
        #expect(abs(one.score - other.score) < slack(precision))
        // Tokens are the same unless rows are as close as normalizers are known.
        if one.row == other.row { #expect(one.token == other.token || abs(one.score - other.score) < 1e-6) }
      }
      // Within a row nothing is approximate but what all of its tokens have in common.
      for row in Set(found.map(\.row)) {
        let ours = found.prefix(wanted.count).filter { $0.row == row }.map(\.token)
        #expect(ours == expected.filter { $0.row == row }.prefix(ours.count).map(\.token))
      }
    }
    if made.rows > 3 { #expect(screened.leading(row: 3) == nil) }
  }

  /// Where tokens are named later, sums are known and nothing is looked for.
  @Test(arguments: precisions) func normalizersAlone(precision: Precision) throws {
    let context = try context(precision)
    let made = Case(5, count: 1200, width: 96, rows: 3, sharpness: 3, hasBias: true)
    var wanted = made.apart()
    wanted.count = 0
    let screened = try made.screened(context)
    try made.states.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: made.rows, wanted: wanted)
      for row in 0..<made.rows {
        let best = try #require(made.best(row, excluded: []))
        let expected = Double(made.logit(row, best.token)) - best.logProbability
        #expect(abs(try #require(screened.normalizer(row: row)) - expected) < slack(precision))
        #expect(screened.leading(row: row)?.isEmpty ?? true)
      }
    }
  }

  /// Equal rows: the smallest token comes, whichever is found first.
  @Test(arguments: 0..<6, precisions) func equalsGoToTheSmallestToken(seed: Int, precision: Precision) throws {
    let context = try context(precision)
    var made = Case(seed, count: 900, width: 48, rows: 4, sharpness: 6, hasBias: false)
    for row in 0..<made.rows {
      let best = try #require(made.best(row, excluded: []))
      for copy in [(best.token + 71) % 900, (best.token + 500) % 900] {
        for channel in 0..<made.width {
          made.matrix[copy * made.width + channel] = made.matrix[best.token * made.width + channel]
        }
      }
    }
    let screened = try made.screened(context)
    try made.states.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: made.rows, wanted: made.apart())
      for row in 0..<made.rows {
        let found = try #require(screened.leading(row: row)?.first)
        #expect(found.token == made.best(row, excluded: [])?.token)
      }
    }
  }

  /// Whatever the weights are, what is decided is right, and what is not decided is left to the exact logits.
  @Test(arguments: [Float.nan, .infinity, -.infinity, 0, 3e38, 0x1p-140], 0..<3)
  func oddWeights(value: Float, seed: Int) throws {
    for precision in Self.precisions { try oddWeights(value, seed, try context(precision)) }
  }

  private func oddWeights(_ value: Float, _ seed: Int, _ context: ComputeContext) throws {
    var made = Case(seed, count: 700, width: 40, rows: 3, sharpness: 5, hasBias: seed == 1)
    var numbers = Numbers(seed + 5)
    for _ in 0..<5 {
      let token = numbers.index(below: made.count)
      if seed == 2 || value.magnitude == 0 {
        for channel in 0..<made.width { made.matrix[token * made.width + channel] = value }
      } else {
        made.matrix[token * made.width + numbers.index(below: made.width)] = value
      }
    }
    let screened = try made.screened(context)
    var decided = 0
    try made.states.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: made.rows, wanted: made.apart())
      for row in 0..<made.rows {
        guard let found = screened.leading(row: row)?.first else { continue }
        decided += 1
        #expect(found.token == made.best(row, excluded: [])?.token)
        #expect(found.logProbability <= 0 && found.logProbability > -.infinity)
      }
    }
    if value.magnitude < 1 { #expect(decided == made.rows) }
  }

  @Test func statesThatAreNoNumbersAreNotDecided() throws {
    let context = try context()
    var made = Case(1, count: 600, width: 32, rows: 3, sharpness: 3, hasBias: false)
    made.states[5] = .nan
    made.states[32 + 5] = .infinity
    for channel in 64..<96 { made.states[channel] = 0 }
    let screened = try made.screened(context)
    try made.states.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: 3, wanted: made.apart())
      #expect(screened.leading(row: 0) == nil)
      #expect(screened.leading(row: 1) == nil)
      // All logits are equal: more candidates than are looked at.
      #expect(screened.leading(row: 2) == nil)
      #expect(try screened.exactLogits()[3 * 600 - 1] == 0)
      // It does not try for ever.
      try screened.begin(#require(states.baseAddress), rows: 3, wanted: made.apart())
      #expect(!screened.isScreened)
    }
  }

  /// With bounds that are not certain the largest terms stand for more candidates than are looked at.
  @Test func equalLogitsInFourBits() throws {
    let made = Case(1, count: 600, width: 32, rows: 1, sharpness: 3, hasBias: false)
    let screened = try made.screened(try context(.bfloat16))
    let zeros = [Float](repeating: 0, count: 32)
    try zeros.withUnsafeBufferPointer { states in
      try screened.begin(#require(states.baseAddress), rows: 1, wanted: made.apart())
      let found = try #require(screened.leading(row: 0)?.first)
      #expect(found.token == 0)
      #expect(abs(found.logProbability + log(600)) < 1e-6)
    }
  }

  /// The bounds hold for every logit, against double precision.
  @Test(arguments: 0..<8, precisions) func boundsHold(seed: Int, precision: Precision) throws {
    let context = try context(precision)
    let made = Case(seed, count: 400 + seed, width: 7 + 31 * seed, rows: 2, sharpness: 2, hasBias: seed % 2 == 0)
    let weights = VocabularyWeights(
      try Tensor(.float32, [made.count, made.width], made.matrix),
      bias: try made.bias.map { try Tensor(.float32, [made.count], $0) }, transposed: true)
    let screen = try VocabularyScreen(weights, pages: WeightPages(), context: context)
    var logits = [Float](repeating: 0, count: 2 * made.count)
    let scratch = try Buffer(
      byteCount: mk_linear_scratch(context.pool, screen.type, 2, made.width, made.count))
    mk_linear(
      context.pool, screen.type, 2, made.width, made.count, made.states, made.width, screen.packed, weights.biases,
      MK_ACT_NONE, nil, 0, &logits, made.count, scratch.base)
    var largest = 0.0
    for row in 0..<2 {
      let state = made.states[row * made.width..<(row + 1) * made.width]
      let norm = state.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      for token in 0..<made.count {
        let error = abs(Double(logits[row * made.count + token]) - Double(made.logit(row, token)))
        let bound = norm * Double(screen.bounds[token]) + 0x1p-21 * Double(abs(logits[row * made.count + token]))
        #expect(error <= bound)
        largest = max(largest, error / bound)
      }
    }
    // They are bounds of this product, not of any.
    #expect(largest > 0.02)
  }
}
