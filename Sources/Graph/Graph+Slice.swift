extension Graph {
  /// The nodes that `outputs` need, in graph order, when the values in `feeds` are given.
  ///
  /// - Complexity: O(nodes).
  public func slice(to outputs: some Sequence<ValueID>, from feeds: Set<ValueID>) -> [Int] {
    var isNeeded = [Bool](repeating: false, count: values.count)
    for output in outputs where !feeds.contains(output) { isNeeded[output] = true }
    var kept: [Int] = []
    for index in nodes.indices.reversed() {
      let node = nodes[index]
      guard node.outputs.contains(where: { $0.map { isNeeded[$0] } ?? false }) else { continue }
      kept.append(index)
      for case let input? in node.inputs where !feeds.contains(input) { isNeeded[input] = true }
    }
    return kept.reversed()
  }

  /// The nodes of `slice(to:from:)` in an order that finishes one output before it begins the next: fewer intermediate
  /// values live at once than in graph order.
  ///
  /// - Complexity: O(nodes).
  public func depthFirstSlice(to outputs: some Sequence<ValueID>, from feeds: Set<ValueID>) -> [Int] {
    let producers = producers()
    var isVisited = [Bool](repeating: false, count: nodes.count)
    var order: [Int] = []
    // A node comes up twice: to visit what it reads, then, with all of that in the order, to be added itself.
    var pending: [(node: Int, isReady: Bool)] = []
    for output in outputs where !feeds.contains(output) {
      if let producer = producers[output] { pending.append((producer, false)) }
      while let (node, isReady) = pending.popLast() {
        if isReady {
          order.append(node)
        } else if !isVisited[node] {
          isVisited[node] = true
          pending.append((node, true))
          for case let input? in nodes[node].inputs.reversed() where !feeds.contains(input) {
            if let producer = producers[input], !isVisited[producer] { pending.append((producer, false)) }
          }
        }
      }
    }
    return order
  }

  /// For each value whether its elements depend on the elements (not only the sizes) of one of `sources`, which count
  /// themselves.
  ///
  /// - Complexity: O(nodes).
  public func dependents(of sources: some Sequence<ValueID>) -> [Bool] {
    var depends = [Bool](repeating: false, count: values.count)
    for source in sources { depends[source] = true }
    for node in nodes where !node.readsShapeOnly {
      guard node.inputs.contains(where: { $0.map { depends[$0] } ?? false }) else { continue }
      for case let output? in node.outputs { depends[output] = true }
    }
    return depends
  }
}

extension Graph.Node {
  /// `Shape` and `Size` follow from the shape of their input, even when its elements are data.
  var readsShapeOnly: Bool { domain.isEmpty && (operatorName == "Shape" || operatorName == "Size") }
}
