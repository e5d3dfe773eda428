import Kernels
import Tensor

extension Graph {
  /// Adds a value that a node to be inserted will define.
  @discardableResult
  public mutating func addValue(_ name: String, constant: Tensor? = nil) -> ValueID {
    values.append(Value(name: name, constant: constant))
    return values.count - 1
  }

  /// Adds a graph input.
  public mutating func addInput(_ name: String, type: ElementType?, shape: [Dimension]?) -> ValueID {
    let value = addValue(name)
    inputs.append(Port(value: value, name: name, type: type, shape: shape))
    return value
  }

  public mutating func addOutput(_ name: String, value: ValueID, type: ElementType? = nil, shape: [Dimension]? = nil) {
    outputs.append(Port(value: value, name: name, type: type, shape: shape))
  }

  /// Appends a node; its inputs must be defined before it.
  public mutating func append(_ node: Node) { nodes.append(node) }

  /// For each value the node that defines it.
  public func producers() -> [Int?] {
    var producers = [Int?](repeating: nil, count: values.count)
    for (index, node) in nodes.enumerated() {
      for case let output? in node.outputs { producers[output] = index }
    }
    return producers
  }

  /// For each value the nodes that read it, in order, once for each operand.
  public func users() -> [[Int]] {
    var users = [[Int]](repeating: [], count: values.count)
    for (index, node) in nodes.enumerated() {
      for case let input? in node.inputs { users[input].append(index) }
    }
    return users
  }

  /// Lets every node and every graph output that reads `old` read `new`.
  mutating func replaceUses(of old: ValueID, with new: ValueID) {
    for index in nodes.indices {
      for slot in nodes[index].inputs.indices where nodes[index].inputs[slot] == old {
        nodes[index].inputs[slot] = new
      }
    }
    for index in outputs.indices where outputs[index].value == old { outputs[index].value = new }
  }

  /// Puts the fused `node` in place of the node at `index`, which must be the last of the pattern in graph order.
  mutating func replaceNode(at index: Int, with node: Node) { nodes[index] = node }

  /// Removes nodes whose results nobody reads, and frees constants that nobody reads.
  public mutating func removeDeadNodes() {
    var isLive = [Bool](repeating: false, count: values.count)
    for output in outputs { isLive[output.value] = true }
    var kept: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: { $0.map { isLive[$0] } ?? false }) {
      for case let input? in node.inputs { isLive[input] = true }
      kept.append(node)
    }
    nodes = kept.reversed()
    for index in values.indices where !isLive[index] { values[index].constant = nil }
  }

  /// Throws when a node reads a value before it is defined, or a value is defined twice.
  public func checkInvariants() throws(MueError) {
    var isDefined = values.map { $0.constant != nil }
    for input in inputs { isDefined[input.value] = true }
    for node in nodes {
      for case let input? in node.inputs where !isDefined[input] {
        throw MueError(
          .invalidModel, "'\(values[input].name)' is read before it is defined", at: location(of: node))
      }
      for case let output? in node.outputs {
        guard !isDefined[output] else {
          throw MueError(.invalidModel, "'\(values[output].name)' is defined twice", at: location(of: node))
        }
        isDefined[output] = true
      }
    }
    for output in outputs where !isDefined[output.value] {
      throw MueError(.invalidModel, "output '\(output.name)' is never defined", at: .init(file: file))
    }
  }
}
