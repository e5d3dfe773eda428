import CMue

/// A `mue_model *` and its lifetime.
final class ModelHandle {
  let pointer: OpaquePointer

  /// - Parameter isForInspection: open a graph with nodes that cannot run too.
  init(path: String, threads: Int, isForInspection: Bool = false) throws(CommandFailure) {
    var options = mue_model_options()
    options.struct_size = MemoryLayout<mue_model_options>.size
    guard let count = Int32(exactly: threads) else { throw CommandFailure("--threads \(threads) is too large") }
    options.threads = count
    options.inspect_only = isForInspection ? 1 : 0
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
