import Tensor

/// The external data files of one model: found inside its folder only, mapped once each, shared by all its tensors.
struct ExternalFiles {
  /// Where locations are looked up.
  private let folder: String
  /// Folders, links resolved, that a data file may lie in, at any depth.
  private let allowed: [String]
  private var files: [String: Buffer] = [:]
  private(set) var remainingBytes: Int

  /// - Parameters:
  ///   - folder: what locations are relative to.
  ///   - resolvedFolders: more folders that links may lead to; the one that holds the model once links are resolved.
  ///   - byteLimit: bytes that all files together may have.
  init(folder: String, resolvedFolders: [String] = [], byteLimit: Int) throws(MueError) {
    guard let resolved = MappedFile.resolvedPath(folder) else {
      throw MueError(.notFound, "the folder for external data does not exist", at: .init(file: folder))
    }
    self.folder = folder
    self.allowed = [resolved] + resolvedFolders
    self.remainingBytes = byteLimit
  }

  /// The whole file that `location` names.
  ///
  /// Refused: an absolute path, a `..` component, and whatever leads out of the folder through symbolic links.
  mutating func file(at location: String) throws(MueError) -> Buffer {
    if let known = files[location] { return known }
    guard !location.isEmpty, !location.utf8.contains(0) else {
      throw MueError(.invalidModel, "the location of external data is empty or holds a zero byte")
    }
    guard location.utf8.first != UInt8(ascii: "/") else {
      throw MueError(.invalidModel, "external data at the absolute path '\(location)'")
    }
    guard !location.split(separator: "/").contains("..") else {
      throw MueError(.invalidModel, "external data at '\(location)', which may leave the model's folder")
    }
    let path = "\(folder)/\(location)"
    guard let resolved = MappedFile.resolvedPath(path) else {
      throw MueError(.notFound, "the external data file '\(path)' does not exist or cannot be reached")
    }
    guard isInside(resolved) else {
      throw MueError(.invalidModel, "external data at '\(location)', a link that leads out of the model's folder")
    }
    // Several locations may be links to one file.
    if let known = files[resolved] {
      files[location] = known
      return known
    }
    let buffer: Buffer
    do {
      // Checked once more on the open file: the link may have been changed since.
      buffer = try MappedFile.map(path: resolved, byteLimit: remainingBytes, isAllowed: isInside)
    } catch {
      throw MueError(error.code, "external data file '\(path)': \(error.message)")
    }
    remainingBytes -= buffer.byteCount
    files[resolved] = buffer
    files[location] = buffer
    return buffer
  }

  private func isInside(_ resolved: String) -> Bool {
    allowed.contains { folder in resolved.hasPrefix(folder == "/" ? folder : folder + "/") }
  }
}
