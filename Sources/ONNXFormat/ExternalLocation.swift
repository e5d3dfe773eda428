import Tensor

/// Where the data of an external tensor lies (`TensorProto.external_data`), checked but for the file itself.
struct ExternalLocation {
  /// Relative to the model's folder.
  let path: String
  /// Bytes from the start of the file.
  let offset: Int
  let byteCount: Int

  /// - Parameters:
  ///   - entries: the tensor's key-value pairs; the last of a key counts, unknown keys such as `checksum` do not.
  ///   - byteCount: bytes that the tensor's shape and type need.
  ///   - offset: where the tensor's message begins, for errors.
  init(entries: [(key: String, value: String)], byteCount: Int, offset: Int, name: String) throws(MueError) {
    var path: String?
    var start = 0
    var length = byteCount
    for entry in entries {
      switch entry.key {
      case "location": path = entry.value
      case "offset", "length":
        // Digits alone: Int() would take a sign as well.
        guard entry.value.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(entry.value) else {
          throw MueError(
            .invalidModel, "tensor '\(name)' has external data of \(entry.key) '\(entry.value)'",
            at: .init(byteOffset: offset, field: "external_data"))
        }
        if entry.key == "offset" { start = number } else { length = number }
      default: break
      }
    }
    guard let path else {
      throw MueError(
        .invalidModel, "tensor '\(name)' is external, but has no location",
        at: .init(byteOffset: offset, field: "external_data"))
    }
    guard length == byteCount else {
      throw MueError(
        .invalidModel, "tensor '\(name)' needs \(byteCount) bytes, but its external data has length \(length)",
        at: .init(byteOffset: offset, field: "external_data"))
    }
    self.path = path
    self.offset = start
    self.byteCount = byteCount
  }
}
