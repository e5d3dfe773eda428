import CMue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

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
    _ questions: [Question], settings: RequestSettings, beams: Int, maxTokens: Int
  ) throws(CommandFailure) -> ResultHandle {
    var options = mue_generate_options()
    options.struct_size = MemoryLayout<mue_generate_options>.size
    options.similarities = settings.similarities ? 1 : 0
    options.beams = try Self.int32(beams, "--beams")
    options.max_tokens = try Self.int32(maxTokens, "--max-tokens")
    let exits = ExitsStorage(settings)
    options.exits = exits.pointer
    var result: OpaquePointer?
    try Question.withItems(questions) { items, count throws(CommandFailure) in
      try check(mue_session_generate(pointer, items, count, &options, &result))
    }
    withExtendedLifetime(exits) {}
    return try ResultHandle(result)
  }

  func score(
    _ questions: [Question], answers: [String], settings: RequestSettings
  ) throws(CommandFailure) -> ResultHandle {
    let exits = ExitsStorage(settings)
    var options = Self.options(settings, exits)
    let copies = answers.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    let strings = zip(answers, copies).map { mue_string(data: $1.map { UnsafePointer($0) }, length: $0.utf8.count) }
    var result: OpaquePointer?
    try Question.withItems(questions) { items, count throws(CommandFailure) in
      try check(mue_session_score(pointer, items, count, strings, strings.count, &options, &result))
    }
    withExtendedLifetime(exits) {}
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

  private static func options(_ settings: RequestSettings, _ exits: ExitsStorage) -> mue_request_options {
    var options = mue_request_options()
    options.struct_size = MemoryLayout<mue_request_options>.size
    options.similarities = settings.similarities ? 1 : 0
    options.exits = exits.pointer
    return options
  }

  private static func int32(_ value: Int, _ option: String) throws(CommandFailure) -> Int32 {
    guard let value = Int32(exactly: value) else { throw CommandFailure("\(option) \(value) is too large") }
    return value
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
