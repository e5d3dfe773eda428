import Tensor

/// Takes the most probable token at every step, for all rows at once.
enum GreedySearch {
  /// - Parameters:
  ///   - decoder: one row per sample; it has read all of each prefix but the last token.
  ///   - prefixes: what the decoder reads before the answer.
  ///   - onToken: told each token of each row as it is chosen, with the layer it left at.
  static func run(
    _ decoder: any TokenDecoder, prefixes: [[Int]], options: SearchOptions, run: RunOptions,
    onToken: (_ row: Int, _ token: Int, _ exit: Int) throws(MueError) -> SearchDecision
  ) throws(MueError) -> [SearchOutcome] {
    let rows = decoder.rows
    var results = [SearchResult](repeating: SearchResult(), count: rows)
    var outcomes = [SearchOutcome](repeating: SearchOutcome(), count: rows)
    var isOpen = [Bool](repeating: true, count: rows)
    var places = [Int](repeating: 0, count: rows)
    var histories = prefixes
    var tokens = try prefixes.map { (prefix) throws(MueError) in try lastToken(prefix) }
    var allowed = options.allowed.map { allowed in places.map { allowed.tokens(at: $0) } }
    var ranking = TokenRanking()
    var leading = LeadingTokens()
    // From here on a step allocates nothing.
    let mostExcluded = options.mostExcluded(prefix: prefixes.first?.count ?? 0)
    ranking.reserve(1, excluded: mostExcluded)
    leading.reserve(rows: rows, excluded: mostExcluded)
    for row in 0..<rows {
      results[row].reserve(SearchOptions.room(options.greedySteps))
      histories[row].reserveCapacity(prefixes[row].count + SearchOptions.room(options.greedySteps))
      outcomes[row].charge(decoder.prefixCosts[row])
    }
    for step in 0..<options.greedySteps {
      let threshold = run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
      leading.begin(1)
      for row in 0..<rows {
        leading.append(sample: row, isOver: !isOpen[row])
        options.findExcluded(after: histories[row], generated: step, into: &leading.excluded[row])
      }
      let made = try decoder.step(
        tokens: tokens, threshold: threshold, options: run, logits: WantedLogits(allowed, else: .leading(leading)))
      run.trace?.begin("search")
      defer { run.trace?.end() }
      for row in 0..<rows where isOpen[row] {
        try ranking.rank(1, of: row, in: made, allowed: allowed?[row], excluded: leading.excluded[row])
        guard let next = ranking.found.first else {
          throw MueError(.unsupported, "no token may follow: the constraints of this request exclude them all")
        }
        histories[row].append(next.token)
        results[row].append(next, exit: made.exits[row])
        if let similarities = made.similarities?[row] { results[row].similarities.append(similarities) }
        // A row that has ended runs on beside the others but is no longer charged.
        outcomes[row].charge(made.costs[row])
        outcomes[row].layersMilliseconds += made.layersMilliseconds
        outcomes[row].headMilliseconds += made.headMilliseconds
        tokens[row] = next.token
        if next.token == options.endToken {
          results[row].isFinished = true
          isOpen[row] = false
        } else if let set = options.allowed {
          places[row] = set.place(after: next.token, at: places[row]) ?? places[row]
          allowed?[row] = set.tokens(at: places[row])
        }
        if try onToken(row, next.token, made.exits[row]) == .stop { isOpen[row] = false }
      }
      if !isOpen.contains(true) { break }
    }
    for row in results.indices {
      results[row].score = options.score(
        results[row].logProbabilities.reduce(0, +), tokens: results[row].tokens.count)
      outcomes[row].hypotheses = [results[row]]
      let cross = decoder.crossCost(sample: decoder.sampleOfRow[row])
      outcomes[row].charge(RowCost(run: cross.run, full: cross.full))
    }
    return outcomes
  }

  static func lastToken(_ prefix: [Int]) throws(MueError) -> Int {
    guard let last = prefix.last else { throw MueError(.internal, "a decoder with nothing to read") }
    return last
  }
}
