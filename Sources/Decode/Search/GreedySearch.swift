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
    var results = [SearchResult](repeating: SearchResult(), count: decoder.rows)
    var outcomes = [SearchOutcome](repeating: SearchOutcome(), count: decoder.rows)
    var isOpen = [Bool](repeating: true, count: decoder.rows)
    var places = [Int](repeating: 0, count: decoder.rows)
    var tokens = try prefixes.map { (prefix) throws(MueError) in try lastToken(prefix) }
    for row in outcomes.indices { outcomes[row].charge((decoder.costs[row].run, decoder.costs[row].full)) }
    for step in 0..<options.greedySteps {
      let threshold = run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
      let before = decoder.costs
      let allowed = options.allowed.map { allowed in places.map { allowed.tokens(at: $0) } }
      let made = try decoder.step(tokens: tokens, threshold: threshold, options: run, candidates: allowed)
      run.trace?.begin("search")
      defer { run.trace?.end() }
      for row in 0..<decoder.rows where isOpen[row] {
        let excluded = options.excluded(after: prefixes[row] + results[row].tokens, generated: step)
        guard
          let next = try NextToken.best(1, of: row, in: made, allowed: allowed?[row], excluded: excluded).first
        else { throw MueError(.unsupported, "no token may follow: the constraints of this request exclude them all") }
        results[row].tokens.append(next.token)
        results[row].logProbabilities.append(next.logProbability)
        results[row].exits.append(made.exits[row])
        if let similarities = made.similarities?[row] { results[row].similarities.append(similarities) }
        // A row that has ended runs on beside the others but is no longer charged.
        outcomes[row].charge(
          (decoder.costs[row].run - before[row].run, decoder.costs[row].full - before[row].full))
        outcomes[row].layersMilliseconds += made.layersMilliseconds
        outcomes[row].headMilliseconds += made.headMilliseconds
        tokens[row] = next.token
        if next.token == options.endToken {
          results[row].isFinished = true
          isOpen[row] = false
        } else if let allowed = options.allowed {
          places[row] = allowed.place(after: next.token, at: places[row]) ?? places[row]
        }
        if try onToken(row, next.token, made.exits[row]) == .stop { isOpen[row] = false }
      }
      if !isOpen.contains(true) { break }
    }
    for row in results.indices {
      results[row].score = options.score(
        results[row].logProbabilities.reduce(0, +), tokens: results[row].tokens.count)
      outcomes[row].hypotheses = [results[row]]
      outcomes[row].charge(decoder.crossCost(sample: decoder.sampleOfRow[row]))
    }
    return outcomes
  }

  static func lastToken(_ prefix: [Int]) throws(MueError) -> Int {
    guard let last = prefix.last else { throw MueError(.internal, "a decoder with nothing to read") }
    return last
  }
}
