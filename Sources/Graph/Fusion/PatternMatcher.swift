import Kernels
import Tensor

/// What the fusion passes ask of a graph: who makes a value, who reads it, and small patterns around it.
///
/// A snapshot: make a new one after changing the graph.
struct PatternMatcher {
  let graph: Graph
  let producers: [Int?]
  let users: [[Int]]
  private let isOutput: [Bool]

  init(_ graph: Graph) {
    self.graph = graph
    producers = graph.producers()
    users = graph.users()
    var isOutput = [Bool](repeating: false, count: graph.values.count)
    for port in graph.outputs { isOutput[port.value] = true }
    self.isOutput = isOutput
  }

  /// The node that makes `value`, when it is the ONNX operator `name`.
  func producer(_ value: ValueID?, _ name: String, domain: String = "") -> (index: Int, node: Graph.Node)? {
    guard let value, let index = producers[value] else { return nil }
    let node = graph.nodes[index]
    return node.operatorName == name && node.domain == domain ? (index, node) : nil
  }

  /// The one node that reads `value`; nil when there are more, or the value leaves the graph.
  func onlyUser(_ value: ValueID?) -> (index: Int, node: Graph.Node)? {
    guard let value, users[value].count == 1, !isOutput[value], let index = users[value].first else { return nil }
    return (index, graph.nodes[index])
  }

  /// The one node that reads `value`, when it is the ONNX operator `name`.
  func onlyUser(_ value: ValueID?, _ name: String, domain: String = "") -> (index: Int, node: Graph.Node)? {
    guard let user = onlyUser(value), user.node.operatorName == name, user.node.domain == domain else { return nil }
    return user
  }

  /// True when nothing but one node reads `value`.
  func hasOneUser(_ value: ValueID?) -> Bool { onlyUser(value) != nil }

  /// Whether nothing reads `value` but one node, once, and nodes that want its shape alone.
  func isReadForItsShape(_ value: ValueID, butBy index: Int) -> Bool {
    guard !isOutput[value] else { return false }
    let others = users[value].filter { $0 != index }
    return others.count == users[value].count - 1
      && others.allSatisfy { graph.nodes[$0].operatorName == "Shape" && graph.nodes[$0].domain.isEmpty }
  }

  /// The value of a constant float with one element.
  func scalar(_ value: ValueID?) -> Float? {
    guard let tensor = graph.constant(value), tensor.count == 1, tensor.type == .float32 else { return nil }
    return (try? tensor.elements(as: Float.self))?.first
  }

  /// The other operand of a two-input node that reads `value`.
  func otherOperand(_ node: Graph.Node, than value: ValueID?) -> ValueID? {
    guard node.inputs.count == 2 else { return nil }
    if node.inputs[0] == value { return node.inputs[1] }
    return node.inputs[1] == value ? node.inputs[0] : nil
  }

  /// `node` as "operand times constant": a Mul or Div with a scalar constant.
  func scaling(_ node: Graph.Node) -> (operand: ValueID, factor: Float)? {
    guard node.domain.isEmpty, node.inputs.count == 2, let a = node.inputs[0], let b = node.inputs[1] else {
      return nil
    }
    if node.operatorName == "Mul" {
      if let factor = scalar(b) { return (a, factor) }
      if let factor = scalar(a) { return (b, factor) }
    }
    if node.operatorName == "Div", let divisor = scalar(b), divisor != 0 { return (a, 1 / divisor) }
    return nil
  }

  /// The permutation of a Transpose (reversed axes when it has none and the rank is known).
  func permutation(_ node: Graph.Node) -> [Int]? { (try? node.attributes.ints("perm")) ?? nil }
}
