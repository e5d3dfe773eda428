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
  public static func open(path: String, limits: ONNXLimits = .init()) throws(MueError) -> ONNXModel {
    throw MueError(.unsupported, "the decoder is being written", at: .init(file: path))
  }

  /// Decodes a model given as bytes, whose tensors keep `bytes` alive.
  ///
  /// - Parameters:
  ///   - file: what errors call the bytes.
  ///   - externalDirectory: the folder that external data is confined to; nil refuses external data.
  public static func parse(
    _ bytes: Buffer, file: String?, externalDirectory: String?, limits: ONNXLimits = .init()
  ) throws(MueError) -> ONNXModel {
    throw MueError(.unsupported, "the decoder is being written", at: .init(file: file))
  }
}
