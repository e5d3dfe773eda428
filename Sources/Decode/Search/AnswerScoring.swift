import CKernels
import Tensor

/// The probabilities of a closed set of answers after a prefix.
public struct AnswerScoring {
  /// Natural logarithms, normalised over the answers.
  public private(set) var logProbabilities: [Double] = []
  /// One entry for each pass.
  public private(set) var exits: [Int] = []
  public private(set) var similarities: [[Double]] = []
  public private(set) var multiplyAdds = 0
  public private(set) var fullMultiplyAdds = 0
  public private(set) var layersMilliseconds = 0.0
  public private(set) var headMilliseconds = 0.0

  /// - Parameters:
  ///   - prefix: what the decoder reads before the answer.
  ///   - candidates: the tokens of each answer.
  ///   - longest: the longest sequence that the decoder takes.
  public static func run(
    _ runner: UnifiedRunner, _ sample: EncodedSample, prefix: [Int], candidates: [[Int]], endToken: Int, longest: Int,
    options: RunOptions
  ) throws(MueError) -> AnswerScoring {
    var scoring = AnswerScoring()
    guard let length = candidates.map(\.count).max(), prefix.count + length <= longest else {
      throw MueError(.limitExceeded, "prompt and answer together are longer than the \(longest) tokens the model takes")
    }
    var scores: [Double] = []
    let first = candidates.compactMap(\.first)
    if length == 1, Set(first).count == candidates.count {
      let pass = try runner.forward(sample, ids: prefix, candidates: first, options: options)
      scoring.add(pass)
      let logits = try pass.logits.elements(as: Float.self)
      scores = logits.suffix(first.count).map { Double($0) }
    } else {
      for answer in candidates {
        let pass = try runner.forward(sample, ids: prefix + answer, options: options)
        scoring.add(pass)
        let vocabulary = pass.logits.shape.last ?? 0
        let logits = pass.logits.pointer.assumingMemoryBound(to: Float.self)
        var sum = 0.0
        // The token after position p is predicted there; an answer counts with its end.
        for (offset, token) in (answer + [endToken]).enumerated() {
          let row = logits + (prefix.count - 1 + offset) * vocabulary
          guard token >= 0, token < vocabulary else {
            throw MueError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabulary)")
          }
          sum += Double(row[token]) - Double(mk_logsumexp(row, vocabulary))
        }
        scores.append(sum)
      }
    }
    let largest = scores.max() ?? 0
    let normalizer = largest + logarithm(scores.reduce(0) { $0 + exponential($1 - largest) })
    scoring.logProbabilities = scores.map { $0 - normalizer }
    return scoring
  }

  private mutating func add(_ pass: UnifiedRunner.Pass) {
    exits.append(pass.exit)
    similarities.append(pass.similarities)
    multiplyAdds += pass.multiplyAdds
    fullMultiplyAdds += pass.fullMultiplyAdds
    layersMilliseconds += pass.layersMilliseconds
    headMilliseconds += pass.headMilliseconds
  }
}
