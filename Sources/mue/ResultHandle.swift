import CMue

/// A `mue_result *`, its lifetime, and its getters with Swift types.
final class ResultHandle {
  private let pointer: OpaquePointer

  init(_ pointer: OpaquePointer?) throws(CommandFailure) {
    guard let pointer else { throw CommandFailure("the request returned neither a result nor an error") }
    self.pointer = pointer
  }

  deinit { mue_result_free(pointer) }

  var count: Int { mue_result_count(pointer) }

  func text(_ item: Int) -> String? { mue.text(mue_result_text(pointer, item)) }
  func logProbability(_ item: Int) -> Double { mue_result_log_probability(pointer, item) }
  func isFinished(_ item: Int) -> Bool { mue_result_is_finished(pointer, item) == 1 }

  func boxes(_ item: Int) -> [mue_box] {
    var count = 0
    guard let values = mue_result_boxes(pointer, item, &count) else { return [] }
    return (0..<count).map { values[$0] }
  }

  /// What a search found, best first; the pointers live as long as this result.
  func hypotheses(_ item: Int) throws(CommandFailure) -> [mue_hypothesis] {
    var all: [mue_hypothesis] = []
    for index in 0..<mue_result_hypothesis_count(pointer, item) {
      var hypothesis = mue_hypothesis()
      hypothesis.struct_size = MemoryLayout<mue_hypothesis>.size
      try check(mue_result_hypothesis(pointer, item, index, &hypothesis))
      all.append(hypothesis)
    }
    return all
  }

  func answers(_ item: Int) -> [(answer: String, logProbability: Double)] {
    var count = 0
    guard let values = mue_result_answer_log_probabilities(pointer, item, &count) else { return [] }
    return (0..<count).map { (mue.text(mue_result_answer(pointer, item, $0)) ?? "", values[$0]) }
  }

  func bestAnswer(_ item: Int) -> String? {
    let best = Int(mue_result_best_answer(pointer, item))
    return best < 0 ? nil : mue.text(mue_result_answer(pointer, item, best))
  }

  func decoderExits(_ item: Int) -> [Int] {
    var count = 0
    guard let values = mue_result_decoder_exits(pointer, item, &count) else { return [] }
    return (0..<count).map { Int(values[$0]) }
  }

  /// The similarities of one stream; `token` counts generated tokens for the decoder.
  func similarities(_ item: Int, stream: Int32, token: Int = 0) -> [Double] {
    var count = 0
    guard let values = mue_result_similarities(pointer, item, stream, token, &count) else { return [] }
    return (0..<count).map { values[$0] }
  }

  func report(_ item: Int) throws(CommandFailure) -> mue_report {
    var report = mue_report()
    report.struct_size = MemoryLayout<mue_report>.size
    try check(mue_result_report(pointer, item, &report))
    return report
  }

  func json() throws(CommandFailure) -> String {
    var json: UnsafeMutablePointer<CChar>?
    try check(mue_result_json(pointer, &json))
    defer { mue_string_free(json) }
    return mue.text(json) ?? ""
  }

  var tensorCount: Int { mue_result_tensor_count(pointer) }

  /// One tensor; its memory lives as long as this result.
  func tensor(_ index: Int) throws(CommandFailure) -> mue_tensor {
    var tensor = mue_tensor()
    tensor.struct_size = MemoryLayout<mue_tensor>.size
    try check(mue_result_tensor(pointer, index, &tensor))
    return tensor
  }
}
