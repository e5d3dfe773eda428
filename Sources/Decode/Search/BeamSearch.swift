import CKernels
import Tensor

/// Keeps the `beams` most probable prefixes of each sample; finished hypotheses are ranked by log-probability divided
/// by length. A sample ends when it has `beams` finished hypotheses and no open one can beat the worst of them.
enum BeamSearch {
  private struct Hypothesis {
    var result = SearchResult()
    var score = 0.0
    var row: Int
  }

  private struct Candidate {
    var parent: Int
    var token: Int
    var score: Double
    var logProbability: Double
  }

  static func run(_ decoder: any TokenDecoder, samples: Int, options: SearchOptions) throws(MueError) -> [SearchResult]
  {
    let beams = options.beams
    // Row sample * beams + b holds beam b of the sample; at first all beams are one, so only the first counts.
    var open = (0..<samples).map { sample in
      (0..<beams).map { beam in Hypothesis(score: beam == 0 ? 0 : -.infinity, row: sample * beams + beam) }
    }
    var finished = [[Hypothesis]](repeating: [], count: samples)
    var isDone = [Bool](repeating: false, count: samples)
    var tokens = [Int](repeating: options.startToken, count: samples * beams)
    var cost = [RowCost](repeating: RowCost(), count: samples)
    var layers = 0.0
    var head = 0.0
    for step in 0..<options.maxTokens {
      let threshold = options.run.thresholds.decoder.value(step: step, maxSteps: options.maxTokens)
      let before = decoder.costs
      let made = try decoder.step(tokens: tokens, threshold: threshold, options: options.run)
      layers += made.layersMilliseconds
      head += made.headMilliseconds
      var parents = Array(0..<samples * beams)
      for sample in 0..<samples where !isDone[sample] {
        for row in sample * beams..<(sample + 1) * beams {
          cost[sample].run += decoder.costs[row].run - before[row].run
          cost[sample].full += decoder.costs[row].full - before[row].full
        }
        let candidates = try candidates(open[sample], made, beams)
        var next: [Hypothesis] = []
        for candidate in candidates where next.count < beams {
          var hypothesis = open[sample][candidate.parent]
          let parentRow = hypothesis.row
          hypothesis.score = candidate.score
          hypothesis.result.tokens.append(candidate.token)
          hypothesis.result.logProbabilities.append(candidate.logProbability)
          hypothesis.result.exits.append(made.exits[parentRow])
          if let similarities = made.similarities?[parentRow] { hypothesis.result.similarities.append(similarities) }
          if candidate.token == options.endToken {
            hypothesis.result.isFinished = true
            finished[sample].append(hypothesis)
            continue
          }
          hypothesis.row = sample * beams + next.count
          parents[hypothesis.row] = parentRow
          tokens[hypothesis.row] = candidate.token
          next.append(hypothesis)
        }
        open[sample] = next
        finished[sample].sort { rank($0, options) > rank($1, options) }
        if finished[sample].count > beams { finished[sample].removeLast(finished[sample].count - beams) }
        isDone[sample] = cannotImprove(open[sample], finished[sample], options)
      }
      if !isDone.contains(false) { break }
      try decoder.reorder(parents: parents)
    }
    return try (0..<samples).map { (sample) throws(MueError) in
      let all = finished[sample] + (finished[sample].isEmpty || !isDone[sample] ? open[sample] : [])
      guard let best = all.max(by: { rank($0, options) < rank($1, options) }) else {
        throw MueError(.internal, "beam search ended without a hypothesis")
      }
      var result = best.result
      let cross = decoder.crossCost(sample: sample)
      result.multiplyAdds = cost[sample].run + cross.run
      result.fullMultiplyAdds = cost[sample].full + cross.full
      result.layersMilliseconds = layers
      result.headMilliseconds = head
      return result
    }
  }

  /// The best continuations of all beams of a sample: twice as many as beams, so that ends leave enough others.
  private static func candidates(
    _ open: [Hypothesis], _ made: DecodedStep, _ beams: Int
  ) throws(MueError) -> [Candidate] {
    let count = min(2 * beams, made.vocabulary)
    var all: [Candidate] = []
    var values = [Float](repeating: 0, count: count)
    var indices = [mk_int](repeating: 0, count: count)
    for (parent, hypothesis) in open.enumerated() where hypothesis.score > -.infinity {
      let logits = try made.logits(row: hypothesis.row)
      let normalizer = Double(mk_logsumexp(logits, made.vocabulary))
      mk_topk(logits, made.vocabulary, count, &values, &indices)
      for (value, token) in zip(values, indices) {
        let logProbability = Double(value) - normalizer
        all.append(
          Candidate(
            parent: parent, token: token, score: hypothesis.score + logProbability, logProbability: logProbability))
      }
    }
    return Array(all.sorted { ($0.score, -$0.token) > ($1.score, -$1.token) }.prefix(2 * beams))
  }

  private static func rank(_ hypothesis: Hypothesis, _ options: SearchOptions) -> Double {
    hypothesis.score / power(Double(max(hypothesis.result.tokens.count, 1)), options.lengthPenalty)
  }

  private static func cannotImprove(_ open: [Hypothesis], _ finished: [Hypothesis], _ options: SearchOptions) -> Bool {
    guard let best = open.map(\.score).max() else { return true }
    guard finished.count >= options.beams, let worst = finished.map({ rank($0, options) }).min() else { return false }
    // The longest an open hypothesis can become gives the best rank it can reach when lengths are rewarded.
    return best / power(Double(options.maxTokens), max(options.lengthPenalty, 0)) <= worst
  }
}
