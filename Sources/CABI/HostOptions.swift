import CMue
import Decode
import Engine
import Exit
import Tensor

extension RequestOptions {
  /// `mue_request_options`, checked.
  init(host pointer: UnsafePointer<mue_request_options>?) throws(MueError) {
    self.init()
    guard let options = try mue_request_options.read(pointer, "options") else { return }
    try apply(exits: options.exits, cancel: options.cancel, similarities: options.similarities)
  }

  fileprivate mutating func apply(
    exits: UnsafePointer<mue_exits>?, cancel: OpaquePointer?, similarities: Int32
  ) throws(MueError) {
    self.similarities = try code(similarities, below: 2, "options.similarities") == 1
    cancellation = try CancelBox.token(cancel, "options.cancel")
    guard let exits = try mue_exits.read(exits, "options.exits") else { return }
    try requireZero(exits.reserved, "options.exits")
    rule = try code(exits.rule, below: 2, "options.exits.rule") == MUE_RULE_JOINT ? .joint : .row
    switch try code(exits.mode, below: 3, "options.exits.mode") {
    case MUE_EXITS_CALIBRATED: self.exits = .calibrated
    case MUE_EXITS_THRESHOLDS: self.exits = .thresholds(try ExitThresholds(host: exits))
    default: self.exits = .off
    }
  }
}

extension ExitThresholds {
  /// The thresholds of `mue_exits`, checked.
  fileprivate init(host exits: mue_exits) throws(MueError) {
    let schedule: DecoderThreshold.Schedule =
      switch try code(exits.schedule, below: 3, "options.exits.schedule") {
      case MUE_SCHEDULE_PAPER: .paper
      case MUE_SCHEDULE_RELEASED: .released
      default: .constant
      }
    let beta = exits.beta == 0 ? 0.95 : exits.beta
    let tau = exits.tau == 0 ? 1 : exits.tau
    guard beta >= 0, beta <= 1 else {
      throw .argument("options.exits.beta", "options.exits.beta is \(beta) and must be 0 to 1")
    }
    guard tau >= 0, tau.isFinite else {
      throw .argument("options.exits.tau", "options.exits.tau is \(tau) and must be a finite number of at least 0")
    }
    try self.init(
      image: exits.image, text: exits.text,
      decoder: DecoderThreshold(theta: exits.decoder, schedule: schedule, beta: beta, tau: tau))
  }
}

extension AnswerNormalization {
  /// `mue_request_options.normalization`, checked; nil for the default.
  static func read(_ pointer: UnsafePointer<mue_request_options>?) throws(MueError) -> AnswerNormalization? {
    guard let options = try mue_request_options.read(pointer, "options") else { return nil }
    switch try code(options.normalization, below: 3, "options.normalization") {
    case MUE_NORMALIZE_VOCABULARY: return .vocabulary
    case MUE_NORMALIZE_ANSWERS: return .answers
    default: return nil
    }
  }
}

/// `mue_generate_options`, checked.
struct HostGenerateOptions {
  var engine = GenerateOptions()
  var onToken: ((StreamedToken) -> StreamDecision)?

  init(_ pointer: UnsafePointer<mue_generate_options>?) throws(MueError) {
    guard let options = try mue_generate_options.read(pointer, "options") else { return }
    try requireZero(options.reserved, "options")
    try engine.request.apply(exits: options.exits, cancel: options.cancel, similarities: options.similarities)
    guard options.beams >= 0, options.beams <= 64 else {
      throw .argument("options.beams", "options.beams is \(options.beams) and must be 0 to 64")
    }
    guard options.max_tokens >= 0 else {
      throw .argument("options.max_tokens", "options.max_tokens is \(options.max_tokens) and must not be negative")
    }
    guard options.nbest >= 0 else {
      throw .argument("options.nbest", "options.nbest is \(options.nbest) and must not be negative")
    }
    try requireZero(options.reserved2, "options")
    engine.beams = Int(options.beams)
    engine.maxTokens = Int(options.max_tokens)
    engine.hypotheses = Int(options.nbest)
    engine.minTokens = try Self.setting(options.min_tokens, "options.min_tokens")
    engine.noRepeatNgramSize = try Self.setting(options.no_repeat_ngram_size, "options.no_repeat_ngram_size")
    if options.length_penalty == Double(MUE_OFF) {
      engine.lengthPenalty = 0
    } else if options.length_penalty != 0 {
      guard options.length_penalty > 0, options.length_penalty.isFinite else {
        throw .argument(
          "options.length_penalty",
          "options.length_penalty is \(options.length_penalty) and must be at least 0, or MUE_OFF")
      }
      engine.lengthPenalty = options.length_penalty
    }
    if options.answers != nil || options.answer_count != 0 {
      let answers = try texts(options.answers, count: options.answer_count, "options.answers")
      guard !answers.isEmpty else { throw .argument("options.answers", "options.answers is empty") }
      engine.answers = answers
    }
    guard let callback = options.on_token else { return }
    guard engine.beams <= 1 else {
      throw .argument("options.on_token", "a beam search does not stream: options.on_token needs options.beams of 1")
    }
    let user = options.user
    onToken = { token in streamed(token, to: callback, user) }
  }

  /// An option whose 0 is its default and whose MUE_OFF is none of it.
  private static func setting(_ value: Int32, _ argument: String) throws(MueError) -> Int? {
    switch value {
    case 0: return nil
    case MUE_OFF: return 0
    case 1...: return Int(value)
    default: throw .argument(argument, "\(argument) is \(value) and must be at least 0, or MUE_OFF")
    }
  }
}

/// Calls the host's callback with one token.
private func streamed(
  _ token: StreamedToken, to callback: mue_token_callback, _ user: UnsafeMutableRawPointer?
) -> StreamDecision {
  let decision = token.text.withCString { text in
    var event = mue_token_event(
      struct_size: MemoryLayout<mue_token_event>.size, item: token.item, token: Int64(token.token), text: text,
      text_length: token.text.utf8.count, exit_layer: Int32(clamping: token.exitLayer), reserved: 0)
    return callback(&event, user)
  }
  switch decision {
  case MUE_CONTINUE: return .proceed
  case MUE_STOP: return .stop
  default: return .cancel
  }
}
