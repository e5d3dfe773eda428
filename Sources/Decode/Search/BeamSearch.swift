import Tensor

/// Keeps the `beams` most probable prefixes of each sample, by fairseq's rules (which OFA and MuE use):
///
/// - Of a sample's open hypotheses the 2 * beams most probable continuations are looked at. Those among the first
///   `beams` that end are finished; the first `beams` that do not end stay open.
/// - A finished hypothesis is ranked by its log-probability divided by its length, the end token included, to the power
///   of the length penalty.
/// - A sample is done when `beams` hypotheses are finished. Behind `maxTokens` tokens only the end token may come.
///
/// Source: fairseq's sequence_generator.py as the OFA repository has it (models/sequence_generator.py).
struct BeamSearch {
  private struct Open {
    var sample: Int
    var place = 0
    /// The log-probability.
    var sum = 0.0
    var result = SearchResult()
  }

  private struct Candidate {
    /// Row of the hypothesis that it continues.
    var row: Int
    var next: NextToken
    var sum: Double
  }

  private let options: SearchOptions
  private let prefixes: [[Int]]
  private var open: [Open]
  private var outcomes: [SearchOutcome]

  /// - Parameters:
  ///   - decoder: one row per sample; it has read all of each prefix but the last token.
  ///   - prefixes: what the decoder reads before the answer.
  static func run(
    _ decoder: any TokenDecoder, prefixes: [[Int]], options: SearchOptions, run: RunOptions
  ) throws(MueError) -> [SearchOutcome] {
    var search = BeamSearch(options, prefixes)
    for (row, sample) in decoder.sampleOfRow.enumerated() {
      search.outcomes[sample].charge((decoder.costs[row].run, decoder.costs[row].full))
    }
    for step in 0...options.maxTokens where !search.open.isEmpty {
      try search.advance(decoder, step, run)
    }
    for sample in search.outcomes.indices {
      search.outcomes[sample].charge(decoder.crossCost(sample: sample))
      try search.close(sample)
    }
    return search.outcomes
  }

  private init(_ options: SearchOptions, _ prefixes: [[Int]]) {
    self.options = options
    self.prefixes = prefixes
    open = prefixes.indices.map { Open(sample: $0) }
    outcomes = [SearchOutcome](repeating: SearchOutcome(), count: prefixes.count)
  }

  /// One step of the decoder for every open hypothesis, and the choice of those that stay open.
  private mutating func advance(_ decoder: any TokenDecoder, _ step: Int, _ run: RunOptions) throws(MueError) {
    let tokens = try open.map { (hypothesis) throws(MueError) in
      if let token = hypothesis.result.tokens.last { return token }
      return try GreedySearch.lastToken(prefixes[hypothesis.sample])
    }
    let allowed = options.allowed.map { allowed in open.map { allowed.tokens(at: $0.place) } }
    let before = decoder.costs
    let threshold = run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
    let made = try decoder.step(tokens: tokens, threshold: threshold, options: run, candidates: allowed)
    run.trace?.begin("search")
    defer { run.trace?.end() }
    for row in open.indices {
      outcomes[open[row].sample].charge(
        (decoder.costs[row].run - before[row].run, decoder.costs[row].full - before[row].full))
    }
    var following: [Open] = []
    var parents: [Int] = []
    for sample in outcomes.indices {
      let rows = open.indices.filter { open[$0].sample == sample }
      if rows.isEmpty { continue }
      outcomes[sample].layersMilliseconds += made.layersMilliseconds
      outcomes[sample].headMilliseconds += made.headMilliseconds
      for candidate in try choose(sample, rows, step, made, allowed) {
        parents.append(candidate.row)
        following.append(continued(candidate, made))
      }
    }
    open = following
    if !open.isEmpty { try decoder.reorder(parents: parents) }
  }

  /// Finishes the hypotheses of a sample that end now; returns the continuations that stay open.
  private mutating func choose(
    _ sample: Int, _ rows: [Int], _ step: Int, _ made: DecodedStep, _ allowed: [[Int]]?
  ) throws(MueError) -> [Candidate] {
    var candidates: [Candidate] = []
    for row in rows {
      let found: [NextToken]
      if step == options.maxTokens {
        let end = try NextToken.only(options.endToken, of: row, in: made, allowed: allowed?[row])
        found = end.map { [$0] } ?? []
      } else {
        let excluded = options.excluded(after: prefixes[sample] + open[row].result.tokens, generated: step)
        found = try NextToken.best(
          2 * options.beams, of: row, in: made, allowed: allowed?[row], excluded: excluded)
      }
      candidates += found.map { Candidate(row: row, next: $0, sum: open[row].sum + $0.logProbability) }
    }
    candidates.sort { ($0.sum, -$0.row, -$0.next.token) > ($1.sum, -$1.row, -$1.next.token) }
    var staying: [Candidate] = []
    for (rank, candidate) in candidates.prefix(2 * options.beams).enumerated() {
      if candidate.next.token != options.endToken {
        if staying.count < options.beams { staying.append(candidate) }
      } else if rank < options.beams, outcomes[sample].hypotheses.count < options.beams {
        var result = continued(candidate, made).result
        result.isFinished = true
        result.score = options.score(candidate.sum, tokens: result.tokens.count)
        outcomes[sample].hypotheses.append(result)
      }
    }
    return outcomes[sample].hypotheses.count == options.beams ? [] : staying
  }

  private func continued(_ candidate: Candidate, _ made: DecodedStep) -> Open {
    var hypothesis = open[candidate.row]
    hypothesis.sum = candidate.sum
    hypothesis.place =
      options.allowed?.place(after: candidate.next.token, at: hypothesis.place) ?? hypothesis.place
    hypothesis.result.tokens.append(candidate.next.token)
    hypothesis.result.logProbabilities.append(candidate.next.logProbability)
    hypothesis.result.exits.append(made.exits[candidate.row])
    if let similarities = made.similarities?[candidate.row] {
      hypothesis.result.similarities.append(similarities)
    }
    return hypothesis
  }

  /// Best first, as many as were asked for; those that finished earlier come first among equals.
  private mutating func close(_ sample: Int) throws(MueError) {
    let ranked = outcomes[sample].hypotheses.enumerated().sorted {
      ($0.element.score, -$0.offset) > ($1.element.score, -$1.offset)
    }
    guard !ranked.isEmpty else {
      throw MueError(.unsupported, "no answer may be given: the constraints of this request exclude them all")
    }
    outcomes[sample].hypotheses = ranked.prefix(options.hypotheses).map(\.element)
  }
}
