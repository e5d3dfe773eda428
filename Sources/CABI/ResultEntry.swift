import CMue
import Engine
import JSON
import Tensor

/// One entry of a result, with its arrays in C memory.
///
/// Sendable by contract: what it points at is only read.
struct ResultEntry: @unchecked Sendable {
  enum Content: Sendable {
    case generation(Generation)
    case scoring(Scoring)
    case pass(RequestReport)
  }

  let content: Content
  let report: mue_report
  let decoderExits: UnsafeBufferPointer<Int32>
  /// Of the image, the text and the decoder stream; the decoder's per token.
  let similarities: [[UnsafeBufferPointer<Double>]]
  /// Of a generation, best first.
  let hypotheses: [HypothesisLoan]
  let answers: [UnsafePointer<CChar>]
  let answerLogProbabilities: UnsafeBufferPointer<Double>?

  init(_ content: Content, in storage: BorrowedStorage) throws(MueError) {
    self.content = content
    let source: RequestReport
    switch content {
    case .generation(let generation):
      source = generation.report
      hypotheses = try generation.hypotheses.map { (hypothesis) throws(MueError) in
        try HypothesisLoan(hypothesis, in: storage)
      }
      answers = []
      answerLogProbabilities = nil
    case .scoring(let scoring):
      source = scoring.report
      hypotheses = []
      var names: [UnsafePointer<CChar>] = []
      for answer in scoring.answers { names.append(try storage.text(answer)) }
      answers = names
      answerLogProbabilities = try storage.array(scoring.logProbabilities)
    case .pass(let report):
      source = report
      hypotheses = []
      answers = []
      answerLogProbabilities = nil
    }
    report = try source.view(in: storage)
    decoderExits = try storage.array(source.decoderExits.map(Int32.init(clamping:)))
    var streams: [[UnsafeBufferPointer<Double>]] = []
    if let similarities = source.similarities {
      for stream in [[similarities.image], [similarities.text], similarities.decoder] {
        var arrays: [UnsafeBufferPointer<Double>] = []
        for values in stream { arrays.append(try storage.array(values)) }
        streams.append(arrays)
      }
    }
    similarities = streams
  }

  var json: JSONValue {
    switch content {
    case .generation(let generation):
      generation.report.json(
        opening: generation.best.json,
        closing: generation.hypotheses.count > 1
          ? [("hypotheses", .array(generation.hypotheses.map(Self.json)))] : [])
    case .scoring(let scoring):
      scoring.report.json(opening: [
        ("text", scoring.answers.indices.contains(scoring.best) ? .string(scoring.answers[scoring.best]) : .null),
        ("answers", .array(scoring.answers.map { .string($0) })),
        ("logprobs", .array(scoring.logProbabilities.map { .double($0) })),
        ("best", .int(scoring.best)),
      ])
    case .pass(let report): report.json(opening: [])
    }
  }
}

extension ResultEntry {
  /// One of several hypotheses, with what the report says of the best alone.
  private static func json(_ hypothesis: Hypothesis) -> JSONValue {
    .object(
      JSONObject(
        hypothesis.json + [("exits", ["decoder": .array(hypothesis.decoderExits.map { .int($0) })])]))
  }
}

extension RequestReport {
  fileprivate func view(in storage: BorrowedStorage) throws(MueError) -> mue_report {
    mue_report(
      struct_size: MemoryLayout<mue_report>.size, image_exit: Int32(clamping: imageExit),
      text_exit: Int32(clamping: textExit), image_depth: Int32(clamping: depth.image),
      text_depth: Int32(clamping: depth.text), decoder_depth: Int32(clamping: depth.decoder),
      threads: Int32(clamping: threads), etr: etr, macs_run: Int64(multiplyAdds), macs_full: Int64(fullMultiplyAdds),
      total_ms: time.total, image_decode_ms: time.imageDecode, stem_ms: time.stem, encoder_ms: time.encoder,
      decoder_ms: time.decoder, head_ms: time.head, precision: try storage.text(precision.rawValue),
      cpu: try storage.text(cpu))
  }

  /// The report as `--json` prints it, behind the members that come first.
  fileprivate func json(opening: [(String, JSONValue)], closing: [(String, JSONValue)] = []) -> JSONValue {
    var members = opening
    members += [
      (
        "exits",
        [
          "image": .int(imageExit), "text": .int(textExit), "decoder": .array(decoderExits.map { .int($0) }),
        ]
      ),
      ("depth", ["image": .int(depth.image), "text": .int(depth.text), "decoder": .int(depth.decoder)]),
      ("etr", .double(etr)),
      ("macs", ["run": .int(multiplyAdds), "full": .int(fullMultiplyAdds)]),
      (
        "time_ms",
        [
          "total": .double(time.total), "image_decode": .double(time.imageDecode), "stem": .double(time.stem),
          "encoder": .double(time.encoder), "decoder": .double(time.decoder), "head": .double(time.head),
        ]
      ),
    ]
    if let similarities {
      members.append(
        (
          "similarities",
          [
            "image": .array(similarities.image.map { .double($0) }),
            "text": .array(similarities.text.map { .double($0) }),
            "decoder": .array(similarities.decoder.map { .array($0.map { .double($0) }) }),
          ]
        ))
    }
    members += [("threads", .int(threads)), ("precision", .string(precision.rawValue)), ("cpu", .string(cpu))]
    members += closing
    return .object(JSONObject(members))
  }
}
