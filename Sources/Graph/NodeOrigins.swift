import Kernels

/// The nodes as the file has them, kept beside an optimised graph to say what was fused into its nodes.
///
/// Values keep their numbers in all passes, so that a fused node's inputs and outputs are found among these.
public struct NodeOrigins: Sendable {
  private let nodes: [Graph.Node]
  /// For each value the node that defines it.
  private let producers: [Int?]
  /// Most nodes to look at for one fused node: those of a shape may lead far back.
  private static let most = 256

  init(_ graph: Graph) {
    nodes = graph.nodes
    producers = graph.producers()
  }

  /// The names of the nodes on the ways from a node's inputs to its outputs, in the file's order; its own name alone when
  /// nothing was fused.
  public func names(of node: Graph.Node) -> [String] {
    let inputs = Set(node.inputs.compactMap { $0 })
    var isBetween: [Int: Bool] = [:]
    func visit(_ value: ValueID) -> Bool {
      guard producers.indices.contains(value), let index = producers[value] else { return false }
      if let known = isBetween[index] { return known }
      guard isBetween.count < Self.most else { return false }
      isBetween[index] = false
      var found = false
      for case let input? in nodes[index].inputs {
        // Every input is looked at: each may be a way of its own.
        if inputs.contains(input) || visit(input) { found = true }
      }
      isBetween[index] = found
      return found
    }
    for case let output? in node.outputs { _ = visit(output) }
    let names = isBetween.filter(\.value).keys.sorted().map { nodes[$0].name }
    return names.isEmpty ? [node.name] : names
  }
}
