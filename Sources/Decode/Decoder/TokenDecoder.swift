import Tensor

/// The multiply-adds of a row, as run and at full depth.
struct RowCost {
  var run = 0
  var full = 0
}

/// What one step of decoding leaves; the logits are valid until the next step.
struct DecodedStep {
  /// The layer each row left at.
  var exits: [Int]
  /// [row][layer], when asked for.
  var similarities: [[Double]]?
  /// [rows, vocabulary]
  var logits: UnsafePointer<Float>?
  var vocabulary = 0
  var layersMilliseconds = 0.0
  var headMilliseconds = 0.0

  init(exits: [Int]) { self.exits = exits }

  func logits(row: Int) throws(MueError) -> UnsafePointer<Float> {
    guard let logits else { throw MueError(.internal, "a step without logits") }
    return logits + row * vocabulary
  }
}

/// Turns one more token per row into the logits of the next: with a cache, or by running the whole prefix again.
protocol TokenDecoder: AnyObject {
  var rows: Int { get }
  var sampleOfRow: [Int] { get }
  var costs: [RowCost] { get }
  /// Multiply-adds of a sample's cross keys and values, as run and at full depth.
  func crossCost(sample: Int) -> (run: Int, full: Int)
  func step(tokens: [Int], threshold: Double, options: RunOptions) throws(MueError) -> DecodedStep
  func reorder(parents: [Int]) throws(MueError)
}
