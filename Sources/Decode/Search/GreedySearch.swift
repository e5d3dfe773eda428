import CKernels
import Tensor

/// Takes the most probable token at every step, for all rows at once.
enum GreedySearch {
  /// - Parameter onToken: told each token of each row as it is chosen, with the layer it left at.
  static func run(
    _ decoder: any TokenDecoder, options: SearchOptions,
    onToken: (_ row: Int, _ token: Int, _ exit: Int) throws(MueError) -> SearchDecision
  ) throws(MueError) -> [SearchResult] {
    var results = [SearchResult](repeating: SearchResult(), count: decoder.rows)
    var isOpen = [Bool](repeating: true, count: decoder.rows)
    var tokens = [Int](repeating: options.startToken, count: decoder.rows)
    for step in 0..<options.maxTokens {
      let threshold = options.run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
      let costs = decoder.costs
      let made = try decoder.step(tokens: tokens, threshold: threshold, options: options.run)
      for row in 0..<decoder.rows where isOpen[row] {
        let logits = try made.logits(row: row)
        let token = mk_argmax(logits, made.vocabulary)
        guard token >= 0 else { throw MueError(.internal, "no token has a logit that is a number") }
        results[row].tokens.append(token)
        results[row].logProbabilities.append(Double(logits[token]) - Double(mk_logsumexp(logits, made.vocabulary)))
        results[row].exits.append(made.exits[row])
        if let similarities = made.similarities?[row] { results[row].similarities.append(similarities) }
        // A row that has ended runs on beside the others but is no longer charged.
        results[row].multiplyAdds += decoder.costs[row].run - costs[row].run
        results[row].fullMultiplyAdds += decoder.costs[row].full - costs[row].full
        results[row].layersMilliseconds += made.layersMilliseconds
        results[row].headMilliseconds += made.headMilliseconds
        tokens[row] = token
        if token == options.endToken {
          results[row].isFinished = true
          isOpen[row] = false
        }
        if try onToken(row, token, made.exits[row]) == .stop { isOpen[row] = false }
      }
      if !isOpen.contains(true) { break }
    }
    for row in results.indices {
      let cross = decoder.crossCost(sample: decoder.sampleOfRow[row])
      results[row].multiplyAdds += cross.run
      results[row].fullMultiplyAdds += cross.full
    }
    return results
  }
}
