import Tensor

@testable import Decode

/// A decoder whose logits are a fixed function of each row's prefix.
final class ScriptedDecoder: TokenDecoder {
  let vocabulary: Int
  var sampleOfRow: [Int]
  var prefixCosts: [RowCost]
  private let made = DecodedStep()
  /// Rows of each step, of this decoder and its forks.
  private(set) var steps: Steps
  private var prefixes: [[Int]]
  private let table: (Int, [Int]) -> [Float]
  private var logits: Tensor?

  final class Steps { var rows: [Int] = [] }

  /// - Parameter table: the logits after a prefix of a sample.
  init(samples: Int, vocabulary: Int, table: @escaping (Int, [Int]) -> [Float]) {
    self.vocabulary = vocabulary
    self.table = table
    sampleOfRow = Array(0..<samples)
    prefixes = [[Int]](repeating: [], count: samples)
    prefixCosts = [RowCost](repeating: RowCost(), count: samples)
    steps = Steps()
  }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) { (5, 7) }

  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError) { self.prefixes = prefixes }

  func step(
    tokens: [Int], threshold: Double, options: RunOptions, logits wanted: WantedLogits
  ) throws(MueError) -> DecodedStep {
    steps.rows.append(rows)
    made.begin(rows: rows, recordsSimilarities: options.recordsSimilarities)
    var all: [Float] = []
    for row in 0..<rows {
      prefixes[row].append(tokens[row])
      all += table(sampleOfRow[row], prefixes[row])
      made.exits[row] = 1
      made.costs[row] = RowCost(run: 1, full: 2)
    }
    let tensor = try Tensor(.float32, [rows, vocabulary], all)
    logits = tensor
    made.vocabulary = vocabulary
    if let candidates = wanted.candidates {
      made.candidates = (0..<rows).map { row in candidates[row].map { all[row * vocabulary + $0] } }
      made.hasCandidatesOnly = true
    } else {
      made.logits = UnsafePointer(tensor.pointer.assumingMemoryBound(to: Float.self))
    }
    return made
  }

  func reorder(parents: [Int]) throws(MueError) {
    prefixes = parents.map { prefixes[$0] }
    sampleOfRow = parents.map { sampleOfRow[$0] }
    prefixCosts = parents.map { prefixCosts[$0] }
  }

  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder {
    let copy = ScriptedDecoder(samples: parents.count, vocabulary: vocabulary, table: table)
    copy.sampleOfRow = parents.map { sampleOfRow[$0] }
    copy.prefixes = parents.map { prefixes[$0] }
    copy.steps = steps
    return copy
  }
}
