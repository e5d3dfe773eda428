import Tensor

@testable import Decode

/// A decoder whose logits are a fixed function of each row's prefix.
final class ScriptedDecoder: TokenDecoder {
  let vocabulary: Int
  var sampleOfRow: [Int]
  var costs: [RowCost]
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
    costs = [RowCost](repeating: RowCost(), count: samples)
    steps = Steps()
  }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) { (5, 7) }

  func read(_ prefixes: [[Int]], options: RunOptions) throws(MueError) { self.prefixes = prefixes }

  func step(
    tokens: [Int], threshold: Double, options: RunOptions, candidates: [[Int]]?
  ) throws(MueError) -> DecodedStep {
    steps.rows.append(rows)
    var step = DecodedStep(exits: [Int](repeating: 1, count: rows))
    var all: [Float] = []
    for row in 0..<rows {
      prefixes[row].append(tokens[row])
      all += table(sampleOfRow[row], prefixes[row])
      costs[row].run += 1
      costs[row].full += 2
    }
    let made = try Tensor(.float32, [rows, vocabulary], all)
    logits = made
    step.logits = UnsafePointer(made.pointer.assumingMemoryBound(to: Float.self))
    step.vocabulary = vocabulary
    if let candidates {
      step.candidates = (0..<rows).map { row in candidates[row].map { all[row * vocabulary + $0] } }
      step.logits = nil
    }
    return step
  }

  func reorder(parents: [Int]) throws(MueError) {
    prefixes = parents.map { prefixes[$0] }
    sampleOfRow = parents.map { sampleOfRow[$0] }
    costs = parents.map { costs[$0] }
  }

  func forked(parents: [Int]) throws(MueError) -> any TokenDecoder {
    let copy = ScriptedDecoder(samples: parents.count, vocabulary: vocabulary, table: table)
    copy.sampleOfRow = parents.map { sampleOfRow[$0] }
    copy.prefixes = parents.map { prefixes[$0] }
    copy.steps = steps
    return copy
  }
}
