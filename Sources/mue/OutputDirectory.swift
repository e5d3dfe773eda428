import CMue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder that results are written to.
struct OutputDirectory {
  private let path: String

  /// Makes the folder when it is not there (its parent must be).
  init(_ path: String) throws(CommandFailure) {
    if mkdir(path, 0o777) != 0, errno != EEXIST {
      throw CommandFailure("cannot make the folder \(path): \(String(cString: strerror(errno)))")
    }
    self.path = path
  }

  /// Writes a tensor as NAME.npy and returns the file's path. What a file name cannot hold becomes '_'.
  @discardableResult
  func write(_ tensor: mue_tensor) throws(CommandFailure) -> String {
    let name = (text(tensor.name) ?? "").map { $0 == "/" || $0 == "\0" ? "_" : $0 }
    return try write(NumPyArray.encode(tensor), name: String(name) + ".npy")
  }

  @discardableResult
  func write(_ bytes: [UInt8], name: String) throws(CommandFailure) -> String {
    let target = "\(path)/\(name)"
    try OutputFile.write(bytes, to: target)
    return target
  }
}
