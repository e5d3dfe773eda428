import Tensor

/// Keeps the `beams` most probable prefixes of each sample, by fairseq's rules (which OFA and MuE use):
///
/// - Of a sample's open hypotheses the 2 * beams most probable continuations are looked at. Those among the first
///   `beams` that end are finished; the first `beams` that do not end stay open.
/// - A finished hypothesis is ranked by its log-probability divided by its length, the end token included, to the power
///   of the length penalty.
/// - A sample is done when `beams` hypotheses are finished. Behind `maxTokens` tokens only the end token may come.
///
/// Hypotheses are chains of nodes, each of which knows the one before it: what they have in common is there once, and a
/// step copies nothing.
///
/// Source: fairseq's sequence_generator.py as the OFA repository has it (models/sequence_generator.py).
struct BeamSearch {
  /// A token of a hypothesis.
  private struct Node {
    /// The node before it, -1 at the start.
    var before: Int
    var next: NextToken
    var exit: Int
    /// After each layer, when asked for.
    var similarities: [Double]?
  }

  private struct Open {
    var sample: Int
    var place = 0
    /// The log-probability.
    var sum = 0.0
    /// The last node, -1 before the first.
    var last = -1
  }

  private struct Candidate {
    /// Row of the hypothesis that it continues.
    var row: Int
    var next: NextToken
    var sum: Double

    /// Equals in the order of rows and tokens.
    func precedes(_ other: Candidate) -> Bool {
      (sum, -row, -next.token) > (other.sum, -other.row, -other.next.token)
    }
  }

  private struct Finished {
    var last: Int
    var score: Double
  }

  private let options: SearchOptions
  private let prefixes: [[Int]]
  private var nodes: [Node] = []
  /// Rows of the decoder, those of a sample side by side.
  private var open: [Open]
  private var finished: [[Finished]]
  private var outcomes: [SearchOutcome]
  // Memory of a step.
  private var following: [Open] = []
  private var parents: [Int] = []
  private var tokens: [Int] = []
  private var allowed: [[Int]] = []
  private var candidates: [Candidate] = []
  private var leading = LeadingTokens()
  private var history: [Int] = []
  private var ranking = TokenRanking()

  /// - Parameters:
  ///   - decoder: one row per sample; it has read all of each prefix but the last token.
  ///   - prefixes: what the decoder reads before the answer.
  static func run(
    _ decoder: any TokenDecoder, prefixes: [[Int]], options: SearchOptions, run: RunOptions
  ) throws(MueError) -> [SearchOutcome] {
    var search = BeamSearch(options, prefixes)
    for (row, sample) in decoder.sampleOfRow.enumerated() { search.outcomes[sample].charge(decoder.prefixCosts[row]) }
    for step in 0...options.maxTokens where !search.open.isEmpty {
      try search.advance(decoder, step, run)
    }
    for sample in search.outcomes.indices {
      let cross = decoder.crossCost(sample: sample)
      search.outcomes[sample].charge(RowCost(run: cross.run, full: cross.full))
      try search.close(sample)
    }
    return search.outcomes
  }

  private init(_ options: SearchOptions, _ prefixes: [[Int]]) {
    self.options = options
    self.prefixes = prefixes
    open = prefixes.indices.map { Open(sample: $0) }
    finished = [[Finished]](repeating: [], count: prefixes.count)
    outcomes = [SearchOutcome](repeating: SearchOutcome(), count: prefixes.count)
    // A hypothesis that ends may stand beside as many that go on.
    let (rows, overflow) = (prefixes.count &* options.beams).multipliedReportingOverflow(by: 2 * options.steps)
    nodes.reserveCapacity(SearchOptions.room(overflow ? .max : rows))
    let mostExcluded = options.mostExcluded(prefix: prefixes.first?.count ?? 0)
    let most = SearchOptions.room(prefixes.count * options.beams)
    leading.reserve(rows: most, excluded: mostExcluded)
    ranking.reserve(2 * options.beams, excluded: mostExcluded, rows: most)
    candidates.reserveCapacity(2 * options.beams)
    history.reserveCapacity((prefixes.first?.count ?? 0) + SearchOptions.room(options.steps))
  }

  /// One step of the decoder for every open hypothesis, and the choice of those that stay open.
  private mutating func advance(_ decoder: any TokenDecoder, _ step: Int, _ run: RunOptions) throws(MueError) {
    tokens.removeAll(keepingCapacity: true)
    allowed.removeAll(keepingCapacity: true)
    leading.begin(step < options.maxTokens ? 2 * options.beams : 0)
    for (row, hypothesis) in open.enumerated() {
      tokens.append(
        hypothesis.last >= 0
          ? nodes[hypothesis.last].next.token : try GreedySearch.lastToken(prefixes[hypothesis.sample]))
      if let set = options.allowed { allowed.append(set.tokens(at: hypothesis.place)) }
      leading.append(sample: hypothesis.sample, score: hypothesis.sum)
      findHistory(hypothesis)
      options.findExcluded(after: history, generated: step, into: &leading.excluded[row])
    }
    let threshold = run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
    let made = try decoder.step(
      tokens: tokens, threshold: threshold, options: run,
      logits: WantedLogits(options.allowed == nil ? nil : allowed, else: .leading(leading)))
    run.trace?.begin("search")
    defer { run.trace?.end() }
    following.removeAll(keepingCapacity: true)
    parents.removeAll(keepingCapacity: true)
    if options.allowed == nil, leading.count > 0, made.screened?.isScreened != true {
      try ranking.look(at: open.indices, leading.count, excluded: leading.mostExcluded, in: made)
    }
    var first = 0
    while first < open.count {
      let sample = open[first].sample
      var end = first
      while end < open.count, open[end].sample == sample {
        outcomes[sample].charge(made.costs[end])
        end += 1
      }
      outcomes[sample].layersMilliseconds += made.layersMilliseconds
      outcomes[sample].headMilliseconds += made.headMilliseconds
      try findCandidates(first..<end, step, made)
      choose(sample, made)
      first = end
    }
    swap(&open, &following)
    if !open.isEmpty { try decoder.reorder(parents: parents) }
  }

  /// The 2 * beams most probable continuations of a sample's hypotheses into `candidates`.
  private mutating func findCandidates(_ rows: Range<Int>, _ step: Int, _ made: DecodedStep) throws(MueError) {
    candidates.removeAll(keepingCapacity: true)
    for row in rows {
      let only = options.allowed == nil ? nil : allowed[row]
      if step == options.maxTokens {
        try ranking.only(options.endToken, of: row, in: made, allowed: only)
      } else {
        try ranking.rank(2 * options.beams, of: row, in: made, allowed: only, excluded: leading.excluded[row])
      }
      for next in ranking.found {
        insert(Candidate(row: row, next: next, sum: open[row].sum + next.logProbability))
      }
    }
  }

  private mutating func insert(_ candidate: Candidate) {
    var place = candidates.count
    while place > 0, candidate.precedes(candidates[place - 1]) { place -= 1 }
    guard place < 2 * options.beams else { return }
    if candidates.count == 2 * options.beams { candidates.removeLast() }
    candidates.insert(candidate, at: place)
  }

  /// Finishes the hypotheses of a sample that end now, and lets others go on.
  private mutating func choose(_ sample: Int, _ made: DecodedStep) {
    let before = following.count
    for (rank, candidate) in candidates.enumerated() {
      if candidate.next.token != options.endToken {
        guard following.count - before < options.beams else { continue }
        parents.append(candidate.row)
        following.append(continued(candidate, made))
      } else if rank < options.beams, finished[sample].count < options.beams {
        let hypothesis = continued(candidate, made)
        let score = options.score(hypothesis.sum, tokens: length(hypothesis))
        finished[sample].append(Finished(last: hypothesis.last, score: score))
      }
    }
    guard finished[sample].count == options.beams else { return }
    following.removeLast(following.count - before)
    parents.removeLast(parents.count - before)
  }

  private mutating func continued(_ candidate: Candidate, _ made: DecodedStep) -> Open {
    var hypothesis = open[candidate.row]
    hypothesis.sum = candidate.sum
    hypothesis.place =
      options.allowed?.place(after: candidate.next.token, at: hypothesis.place) ?? hypothesis.place
    nodes.append(
      Node(
        before: hypothesis.last, next: candidate.next, exit: made.exits[candidate.row],
        similarities: made.similarities?[candidate.row]))
    hypothesis.last = nodes.count - 1
    return hypothesis
  }

  private func length(_ hypothesis: Open) -> Int {
    var (count, node) = (0, hypothesis.last)
    while node >= 0 { (count, node) = (count + 1, nodes[node].before) }
    return count
  }

  /// What the decoder has read for a hypothesis, into `history`.
  private mutating func findHistory(_ hypothesis: Open) {
    history.removeAll(keepingCapacity: true)
    var node = hypothesis.last
    while node >= 0 {
      history.append(nodes[node].next.token)
      node = nodes[node].before
    }
    history.append(contentsOf: prefixes[hypothesis.sample].reversed())
    history.reverse()
  }

  /// Best first, as many as were asked for; those that finished earlier come first among equals.
  private mutating func close(_ sample: Int) throws(MueError) {
    let ranked = finished[sample].enumerated().sorted {
      ($0.element.score, -$0.offset) > ($1.element.score, -$1.offset)
    }
    guard !ranked.isEmpty else {
      throw MueError(.unsupported, "no answer may be given: the constraints of this request exclude them all")
    }
    outcomes[sample].hypotheses = ranked.prefix(options.hypotheses).map { result($0.element) }
  }

  private func result(_ finished: Finished) -> SearchResult {
    var chain: [Node] = []
    var node = finished.last
    while node >= 0 {
      chain.append(nodes[node])
      node = nodes[node].before
    }
    var result = SearchResult()
    for node in chain.reversed() {
      result.append(node.next, exit: node.exit)
      if let similarities = node.similarities { result.similarities.append(similarities) }
    }
    result.isFinished = true
    result.score = finished.score
    return result
  }
}
