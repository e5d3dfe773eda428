import Tensor

/// A node that the engine cannot run, and why.
public struct UnsupportedNode: Sendable {
  public var node: String
  public var operatorName: String
  public var reason: String
}

extension Graph {
  /// Every node whose operator the engine lacks.
  public func unsupportedNodes() -> [UnsupportedNode] {
    nodes.filter { kernel(of: $0) == nil }.map { node in
      let domain = node.domain.isEmpty ? "" : "\(node.domain)."
      return UnsupportedNode(
        node: node.name, operatorName: domain + node.operatorName,
        reason: "operator \(domain)\(node.operatorName) is not supported at opset \(opset)")
    }
  }

  /// Throws for the first node whose operator the engine lacks, naming node and operator.
  public func requireSupported() throws(MueError) {
    let missing = unsupportedNodes()
    guard let first = missing.first else { return }
    let more = missing.count > 1 ? " (and \(missing.count - 1) more nodes)" : ""
    throw MueError(
      .unsupported, first.reason + more,
      at: .init(file: file, node: first.node, operatorName: first.operatorName))
  }
}
