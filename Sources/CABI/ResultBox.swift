import Engine
import JSON
import Tensor

/// What a `mue_result *` holds: the entries and tensors of a request, and the memory that its getters lend out.
final class ResultBox: HandleObject, Sendable {
  /// "MuEreslt", little-endian.
  static var tag: UInt64 { 0x746c_7365_7245_754d }
  static var name: String { "mue_result" }

  let entries: [ResultEntry]
  let tensors: [TensorLoan]
  private let storage: BorrowedStorage

  private init(entries: [ResultEntry], tensors: [TensorLoan], storage: BorrowedStorage) {
    self.entries = entries
    self.tensors = tensors
    self.storage = storage
  }

  convenience init(_ generations: [Generation]) throws(MueError) {
    let storage = BorrowedStorage()
    var entries: [ResultEntry] = []
    for generation in generations { entries.append(try ResultEntry(.generation(generation), in: storage)) }
    self.init(entries: entries, tensors: [], storage: storage)
  }

  convenience init(_ scorings: [Scoring]) throws(MueError) {
    let storage = BorrowedStorage()
    var entries: [ResultEntry] = []
    for scoring in scorings { entries.append(try ResultEntry(.scoring(scoring), in: storage)) }
    self.init(entries: entries, tensors: [], storage: storage)
  }

  convenience init(_ forward: ForwardResult) throws(MueError) {
    let storage = BorrowedStorage()
    var entries: [ResultEntry] = []
    for report in forward.reports { entries.append(try ResultEntry(.pass(report), in: storage)) }
    let tensors = [
      try TensorLoan("logits", forward.logits, in: storage),
      try TensorLoan("encoder_hidden_states", forward.encoderHiddenStates, in: storage),
    ]
    self.init(entries: entries, tensors: tensors, storage: storage)
  }

  /// The outputs of a plain run, in the order of `order`.
  convenience init(_ outputs: [String: Tensor], order: [String]) throws(MueError) {
    let storage = BorrowedStorage()
    var tensors: [TensorLoan] = []
    for name in order {
      guard let tensor = outputs[name] else {
        throw MueError(.internal, "the engine returned no output '\(name)'")
      }
      tensors.append(try TensorLoan(name, tensor, in: storage))
    }
    self.init(entries: [], tensors: tensors, storage: storage)
  }

  /// One object; a list when there is more than one entry, or none.
  var json: JSONValue {
    let reports = entries.map(\.json)
    return reports.count == 1 ? reports[0] : .array(reports)
  }
}
