import Kernels
import Tensor

/// A value of a graph, by its index in `Graph.values`. Values are never renumbered.
public typealias ValueID = Int

/// The engine's intermediate representation: values in single assignment and nodes in topological order.
///
/// A value type: a pass takes it `inout` and leaves it valid (`checkInvariants` says what that means).
public struct Graph: Sendable {
  public struct Value: Sendable {
    public var name: String
    /// Set for initializers and folded values.
    public var constant: Tensor?
  }

  public struct Node: Sendable {
    public var name: String
    public var operatorName: String
    /// "" for ONNX's own operators, `mue` for fused ones.
    public var domain: String
    /// nil for an omitted optional input.
    public var inputs: [ValueID?]
    /// nil for an omitted output.
    public var outputs: [ValueID?]
    public var attributes: Attributes

    public init(
      _ operatorName: String, domain: String = "", name: String, inputs: [ValueID?], outputs: [ValueID?],
      attributes: Attributes = Attributes()
    ) {
      self.operatorName = operatorName
      self.domain = domain
      self.name = name
      self.inputs = inputs
      self.outputs = outputs
      self.attributes = attributes
    }
  }

  /// A graph input or output as the file declares it.
  public struct Port: Sendable {
    public var value: ValueID
    public var name: String
    /// nil when the file does not say.
    public var type: ElementType?
    /// Declared dimensions, nil when the file gives no shape; outputs' declarations are often wrong.
    public var shape: [Dimension]?
  }

  public enum Dimension: Sendable, Equatable {
    case fixed(Int)
    case symbolic(String)
    case unknown
  }

  public internal(set) var values: [Value] = []
  public internal(set) var nodes: [Node] = []
  public internal(set) var inputs: [Port] = []
  public internal(set) var outputs: [Port] = []
  /// The version of ONNX's own domain that the model imports.
  public internal(set) var opset: Int
  public internal(set) var file: String?
  /// The nodes as they were before the passes; nil when there were none.
  public internal(set) var origins: NodeOrigins?

  public init(opset: Int, file: String? = nil) {
    self.opset = opset
    self.file = file
  }

  public func constant(_ value: ValueID?) -> Tensor? { value.flatMap { values[$0].constant } }

  /// The operator of a node; nil when the engine lacks it.
  public func kernel(of node: Node) -> Operator? {
    OperatorTable.find(name: node.operatorName, domain: node.domain, opset: opset)
  }

  /// Where a node is, for errors.
  public func location(of node: Node) -> MueError.Location {
    MueError.Location(file: file, node: node.name, operatorName: node.operatorName)
  }
}
