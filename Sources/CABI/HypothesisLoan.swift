import CMue
import Engine
import JSON
import Tensor

/// One hypothesis with its texts and arrays in C memory.
///
/// Sendable by contract: what it points at is only read.
struct HypothesisLoan: @unchecked Sendable {
  let view: mue_hypothesis
  let boxes: UnsafeBufferPointer<mue_box>

  init(_ hypothesis: Hypothesis, in storage: BorrowedStorage) throws(MueError) {
    boxes = try storage.array(hypothesis.boxes.map(mue_box.init))
    let tokens = try storage.array(hypothesis.tokens.map(Int64.init))
    let steps = try storage.array(hypothesis.tokenLogProbabilities)
    view = mue_hypothesis(
      struct_size: MemoryLayout<mue_hypothesis>.size, text: try storage.text(hypothesis.text),
      raw_text: try storage.text(hypothesis.rawText), tokens: tokens.baseAddress, token_count: tokens.count,
      token_log_probabilities: steps.baseAddress,
      decoder_exits: try storage.array(hypothesis.decoderExits.map(Int32.init(clamping:))).baseAddress,
      step_count: steps.count, log_probability: hypothesis.logProbability, score: hypothesis.score,
      boxes: boxes.baseAddress, box_count: boxes.count, is_finished: hypothesis.isFinished ? 1 : 0, reserved: 0)
  }
}

extension Hypothesis {
  /// The members of the report that speak of one hypothesis.
  var json: [(String, JSONValue)] {
    var members: [(String, JSONValue)] = [("text", .string(text))]
    if rawText != text { members.append(("raw_text", .string(rawText))) }
    members += [
      ("tokens", .array(tokens.map { .int($0) })), ("logprob", .double(logProbability)), ("score", .double(score)),
      ("token_logprobs", .array(tokenLogProbabilities.map { .double($0) })), ("finished", .bool(isFinished)),
    ]
    if !boxes.isEmpty {
      members.append(
        ("boxes", .array(boxes.map { .array([.double($0.x0), .double($0.y0), .double($0.x1), .double($0.y1)]) })))
    }
    return members
  }
}
