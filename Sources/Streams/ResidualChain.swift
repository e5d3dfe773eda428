import Graph
import Kernels
import Tensor

/// Finds the residual chains of a graph: values s_0, s_1, ... where each is the one before plus a function of it
/// (pre-norm), or the LayerNorm of that sum (post-norm).
struct ResidualChain {
  /// s_0, s_1, ...
  var states: [ValueID]

  /// A sum `skip + f(skip)`.
  private struct Join {
    var skip: ValueID
    var output: ValueID
  }

  /// All maximal chains, longest first.
  static func all(in graph: Graph, shapes: ShapeTable) -> [ResidualChain] {
    let users = graph.users()
    let joins = joins(in: graph, shapes: shapes)
    let bySkip = Dictionary(grouping: joins, by: \.skip)
    // What a join hands on: its sum where that is the next skip, else the norm of its sum where that is.
    func state(after join: Join, isPostNorm: Bool?) -> ValueID? {
      if isPostNorm != true, bySkip[join.output] != nil { return join.output }
      for index in users[join.output] where isNorm(graph.nodes[index]) {
        guard case let output?? = graph.nodes[index].outputs.first else { continue }
        if isPostNorm == true || bySkip[output] != nil { return output }
      }
      return nil
    }
    var isContinuation = Set<ValueID>()
    for join in joins {
      if let next = state(after: join, isPostNorm: nil) { isContinuation.insert(next) }
    }
    var chains: [ResidualChain] = []
    for start in bySkip.keys.sorted() where !isContinuation.contains(start) {
      var states = [start]
      var isPostNorm: Bool?
      while let current = states.last, let join = bySkip[current]?.last, states.count <= joins.count {
        if let next = state(after: join, isPostNorm: isPostNorm), bySkip[next] != nil {
          isPostNorm = next != join.output
          states.append(next)
        } else {
          // The last sum: normed like the ones before it.
          states.append(isPostNorm == true ? state(after: join, isPostNorm: true) ?? join.output : join.output)
          break
        }
      }
      chains.append(ResidualChain(states: states))
    }
    return chains.sorted { $0.states.count > $1.states.count }
  }

  private static func isNorm(_ node: Graph.Node) -> Bool {
    node.operatorName == "LayerNormalization" || node.operatorName == "RMSNormalization"
  }

  /// Every sum of two [batch, row, channel] values one of which depends on the other.
  private static func joins(in graph: Graph, shapes: ShapeTable) -> [Join] {
    var joins: [Join] = []
    for node in graph.nodes {
      guard case let output?? = node.outputs.first, let entry = shapes.entries[output], entry.shape.count == 3,
        !entry.isSizeOnly, entry.type.isFloatingPoint
      else { continue }
      if node.domain == "mue", node.operatorName == "Linear", node.inputs.count > 3, let skip = node.inputs[3] {
        if let x = node.inputs[0], graph.dependents(of: [skip])[x] { joins.append(Join(skip: skip, output: output)) }
      } else if node.domain.isEmpty, node.operatorName == "Add", node.inputs.count == 2, let a = node.inputs[0],
        let b = node.inputs[1], graph.constant(a) == nil, graph.constant(b) == nil
      {
        if shapes.haveSameShape(a, output), graph.dependents(of: [a])[b] {
          joins.append(Join(skip: a, output: output))
        } else if shapes.haveSameShape(b, output), graph.dependents(of: [b])[a] {
          joins.append(Join(skip: b, output: output))
        }
      }
    }
    return joins
  }
}
