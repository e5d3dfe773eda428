import JSON
import Kernels
import Tensor

/// A loaded model: immutable, shared by any number of sessions on any threads.
public final class Model: Sendable {
  public let context: ComputeContext
  public let options: ModelOptions

  /// Opens a bundle directory, or a single ONNX file (then only `Session.run` works).
  public static func open(path: String, options: ModelOptions = .init()) throws(MueError) -> Model {
    throw MueError(.internal, "under construction")
  }

  /// A graph from the bytes of an ONNX file without external data (then only `Session.run` works).
  public static func parse(onnx bytes: Buffer, options: ModelOptions = .init()) throws(MueError) -> Model {
    throw MueError(.internal, "under construction")
  }

  init(context: ComputeContext, options: ModelOptions) {
    self.context = context
    self.options = options
  }

  public var inputs: [TensorDescription] { [] }
  public var outputs: [TensorDescription] { [] }

  /// What `mue inspect` prints: streams, layers, parameters, operators, exits; what is not supported and where.
  public func inspect() throws(MueError) -> JSONValue { .null }
}
