import Tensor

/// A model file (`ModelProto`): names and structure are decoded, tensor data stays where it is.
public struct ONNXModel: Sendable {
  public let irVersion: Int
  public let producerName: String
  public let producerVersion: String
  /// Operator set versions by domain; "" is ONNX's own, also where the file writes "ai.onnx".
  public let opsetImports: [String: Int]
  public let graph: ONNXGraph
  /// Local functions.
  public let functions: [ONNXFunction]
  public let metadata: [String: String]

  /// Maps the file, read only, until the last tensor goes; external data is confined to the file's folder.
  ///
  /// Where `path` is a symbolic link, as in Hugging Face's cache, the folder of the file it leads to serves as well.
  ///
  /// - Throws: `notFound`, `inputOutput`, `limitExceeded`, `unsupported` or `invalidModel`, with the file, and for what
  ///   is wrong inside it the byte offset and the field path.
  public static func open(path: String, limits: ONNXLimits = .init()) throws(MueError) -> ONNXModel {
    let bytes = try MappedFile.map(path: path, byteLimit: limits.modelBytes)
    var resolvedFolders: [String] = []
    if let resolved = MappedFile.resolvedPath(path) { resolvedFolders.append(folder(of: resolved)) }
    let files: ExternalFiles
    do {
      files = try ExternalFiles(
        folder: folder(of: path), resolvedFolders: resolvedFolders, byteLimit: limits.modelBytes - bytes.byteCount)
    } catch {
      throw error.located(.init(file: path))
    }
    return try decode(bytes, file: path, externalFiles: files, limits)
  }

  /// Decodes a model given as bytes, whose tensors keep `bytes` alive.
  ///
  /// - Parameters:
  ///   - file: what errors call the bytes.
  ///   - externalDirectory: the folder that external data is confined to; nil refuses external data.
  /// - Throws: as `open` does.
  public static func parse(
    _ bytes: Buffer, file: String?, externalDirectory: String?, limits: ONNXLimits = .init()
  ) throws(MueError) -> ONNXModel {
    guard bytes.byteCount <= limits.modelBytes else {
      throw MueError(
        .limitExceeded, "a model of \(bytes.byteCount) bytes; the limit is \(limits.modelBytes)",
        at: .init(file: file))
    }
    var files: ExternalFiles?
    if let externalDirectory {
      files = try ExternalFiles(folder: externalDirectory, byteLimit: limits.modelBytes - bytes.byteCount)
    }
    return try decode(bytes, file: file, externalFiles: files, limits)
  }

  private static func decode(
    _ bytes: Buffer, file: String?, externalFiles: ExternalFiles?, _ limits: ONNXLimits
  ) throws(MueError) -> ONNXModel {
    do throws(MueError) {
      guard bytes.byteCount > 0 else { throw MueError(.invalidModel, "it is empty") }
      var fields = ModelFields()
      let decoder = ModelDecoder(bytes: bytes, limits: limits, externalFiles: externalFiles)
      let message = WireReader(base: UnsafeRawPointer(bytes.base), start: 0, end: bytes.byteCount)
      try fields.merge(message, decoder)
      return try fields.model()
    } catch {
      var located = error.located(.init(file: file))
      guard located.code == .invalidModel else { throw located }
      if let other = otherKind(bytes) {
        located.message = "not an ONNX model: \(other)"
      } else if located.location.field == nil {
        // What fails before any field of a model is recognised is most likely something else.
        located.message = "not an ONNX model: \(located.message)"
      }
      throw located
    }
  }

  /// What bytes that cannot be decoded are, for the files that are most often taken for a model.
  private static func otherKind(_ bytes: Buffer) -> String? {
    let start = UnsafeRawBufferPointer(start: bytes.base, count: min(bytes.byteCount, 64))
    if start.starts(with: "version https://git-lfs".utf8) { return "it is a Git LFS pointer to the file" }
    let isText = start.allSatisfy { (0x20...0x7e).contains($0) || (0x09...0x0d).contains($0) }
    return isText && !start.isEmpty ? "it is text" : nil
  }

  /// The folder part of a path.
  private static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
