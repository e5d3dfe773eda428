import Tensor

extension Graph {
  /// Gives back to the system what was read of the model's files; it comes back from there where it is needed again.
  public func releaseFilePages() {
    var released: Set<ObjectIdentifier> = []
    for value in values {
      guard let buffer = value.constant?.buffer, buffer.isMappedFile,
        released.insert(ObjectIdentifier(buffer)).inserted
      else { continue }
      buffer.releasePages(0..<buffer.byteCount)
    }
  }
}
