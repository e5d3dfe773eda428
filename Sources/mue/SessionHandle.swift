import CMue

/// A `mue_session *`, its model, and their lifetime.
final class SessionHandle {
  private let model: ModelHandle
  private let pointer: OpaquePointer

  init(model: ModelHandle) throws(CommandFailure) {
    self.model = model
    var session: OpaquePointer?
    try check(mue_session_create(model.pointer, &session))
    guard let session else { throw CommandFailure("mue_session_create returned neither a session nor an error") }
    pointer = session
  }

  deinit { mue_session_free(pointer) }

  func generate(
    _ questions: [Question], settings: RequestSettings, search: mue_generate_options, answers: [String]? = nil
  ) throws(CommandFailure) -> ResultHandle {
    var options = search
    options.similarities = settings.similarities ? 1 : 0
    let exits = ExitsStorage(settings)
    let strings = AnswerStrings(answers)
    options.exits = exits.pointer
    options.answers = strings.pointer
    options.answer_count = strings.count
    var result: OpaquePointer?
    try Question.withItems(questions) { items, count throws(CommandFailure) in
      try check(mue_session_generate(pointer, items, count, &options, &result))
    }
    withExtendedLifetime((exits, strings)) {}
    return try ResultHandle(result)
  }

  /// - Parameter normalization: MUE_NORMALIZE_DEFAULT, ...
  func score(
    _ questions: [Question], answers: [String], settings: RequestSettings, normalization: Int32 = 0
  ) throws(CommandFailure) -> ResultHandle {
    let exits = ExitsStorage(settings)
    var options = Self.options(settings, exits)
    options.normalization = normalization
    let strings = AnswerStrings(answers)
    var result: OpaquePointer?
    try Question.withItems(questions) { items, count throws(CommandFailure) in
      try check(mue_session_score(pointer, items, count, strings.pointer, strings.count, &options, &result))
    }
    withExtendedLifetime((exits, strings)) {}
    return try ResultHandle(result)
  }

  func forward(
    pixelValues: NumPyArray, inputIDs: NumPyArray, decoderInputIDs: NumPyArray, settings: RequestSettings
  ) throws(CommandFailure) -> ResultHandle {
    let exits = ExitsStorage(settings)
    var options = Self.options(settings, exits)
    let arrays = [pixelValues, inputIDs, decoderInputIDs].map { HostTensor($0, name: nil) }
    var result: OpaquePointer?
    try check(
      mue_session_forward(
        pointer, arrays[0].pointer, arrays[1].pointer, arrays[2].pointer, &options, &result))
    withExtendedLifetime((arrays, exits)) {}
    return try ResultHandle(result)
  }

  func run(_ inputs: [(name: String, array: NumPyArray)]) throws(CommandFailure) -> ResultHandle {
    let tensors = inputs.map { HostTensor($0.array, name: $0.name) }
    let views = tensors.map { $0.pointer.pointee }
    var result: OpaquePointer?
    try check(mue_session_run(pointer, views, views.count, nil, 0, nil, &result))
    withExtendedLifetime(tensors) {}
    return try ResultHandle(result)
  }

  /// - Parameter detail: MUE_TRACE_OPERATORS or MUE_TRACE_PHASES.
  func beginTrace(detail: Int32 = MUE_TRACE_OPERATORS) throws(CommandFailure) {
    try check(mue_session_trace_begin(pointer, detail))
  }

  /// The trace as JSON.
  func endTrace() throws(CommandFailure) -> String {
    var json: UnsafeMutablePointer<CChar>?
    try check(mue_session_trace_end(pointer, &json))
    defer { mue_string_free(json) }
    return text(json) ?? ""
  }

  private static func options(_ settings: RequestSettings, _ exits: ExitsStorage) -> mue_request_options {
    var options = mue_request_options()
    options.struct_size = MemoryLayout<mue_request_options>.size
    options.similarities = settings.similarities ? 1 : 0
    options.exits = exits.pointer
    return options
  }
}

/// A `mue_exits` at a fixed address.
private final class ExitsStorage {
  let pointer: UnsafePointer<mue_exits>
  private let memory = UnsafeMutablePointer<mue_exits>.allocate(capacity: 1)

  init(_ settings: RequestSettings) {
    memory.initialize(to: settings.exits)
    pointer = UnsafePointer(memory)
  }

  deinit { memory.deallocate() }
}
