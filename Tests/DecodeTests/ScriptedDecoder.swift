import Tensor

@testable import Decode

/// A decoder whose logits are a fixed function of each row's prefix.
final class ScriptedDecoder: TokenDecoder {
  let vocabulary: Int
  var sampleOfRow: [Int]
  var costs: [RowCost]
  private var prefixes: [[Int]]
  private let table: (Int, [Int]) -> [Float]
  private var logits: Tensor?

  /// - Parameter table: the logits after a prefix of a sample.
  init(samples: Int, beams: Int, vocabulary: Int, table: @escaping (Int, [Int]) -> [Float]) {
    self.vocabulary = vocabulary
    self.table = table
    sampleOfRow = (0..<samples).flatMap { [Int](repeating: $0, count: beams) }
    prefixes = [[Int]](repeating: [], count: samples * beams)
    costs = [RowCost](repeating: RowCost(), count: samples * beams)
  }

  var rows: Int { sampleOfRow.count }

  func crossCost(sample: Int) -> (run: Int, full: Int) { (5, 7) }

  func step(tokens: [Int], threshold: Double, options: RunOptions) throws(MueError) -> DecodedStep {
    var all: [Float] = []
    for row in 0..<rows {
      prefixes[row].append(tokens[row])
      all += table(sampleOfRow[row], prefixes[row])
      costs[row].run += 1
      costs[row].full += 2
    }
    let made = try Tensor(.float32, [rows, vocabulary], all)
    logits = made
    var step = DecodedStep(exits: [Int](repeating: 1, count: rows))
    step.logits = UnsafePointer(made.pointer.assumingMemoryBound(to: Float.self))
    step.vocabulary = vocabulary
    return step
  }

  func reorder(parents: [Int]) throws(MueError) {
    prefixes = parents.map { prefixes[$0] }
    sampleOfRow = parents.map { sampleOfRow[$0] }
  }
}
