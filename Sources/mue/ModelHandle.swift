import CMue

/// A `mue_model *` and its lifetime.
final class ModelHandle {
  let pointer: OpaquePointer

  /// - Parameter configure: sets what is not to be the default.
  init(path: String, configure: (inout mue_model_options) -> Void) throws(CommandFailure) {
    var options = mue_model_options()
    options.struct_size = MemoryLayout<mue_model_options>.size
    configure(&options)
    var model: OpaquePointer?
    try check(mue_model_open(path, path.utf8.count, &options, &model))
    guard let model else { throw CommandFailure("mue_model_open returned neither a model nor an error") }
    pointer = model
  }

  deinit { mue_model_free(pointer) }

  /// What `mue inspect --json` prints.
  func inspection() throws(CommandFailure) -> String {
    var json: UnsafeMutablePointer<CChar>?
    try check(mue_model_inspect(pointer, &json))
    defer { mue_string_free(json) }
    return text(json) ?? ""
  }
}
