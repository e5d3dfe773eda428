import Kernels
import Tensor

/// The graph (or a slice of it) for inputs of fixed shapes: every value's type and shape, and the elements of every
/// value that follows from sizes alone.
public struct Specialization {
  /// Per value; nil for values outside the slice.
  public private(set) var infos: [TensorInfo?]
  /// The nodes whose results depend on data and that the outputs need, in the given order: what is left to run.
  public private(set) var dataNodes: [Int] = []
  /// Per value whether the elements, not only the shape, matter to an output.
  private let isNeeded: [Bool]

  /// Infers the nodes at `indices` of `graph`, which must stand behind what they read.
  ///
  /// - Parameters:
  ///   - feeds: what is known of the values that the slice starts from. A feed with a constant counts as size-only.
  ///   - outputs: the values whose elements are wanted: known afterwards where they follow from sizes, and reached by
  ///     running `dataNodes` otherwise. Of everything else shapes are found, and elements only where they decide shapes.
  public init(
    _ graph: Graph, nodes indices: [Int], feeds: [ValueID: TensorInfo], outputs: Set<ValueID>, context: ComputeContext
  ) throws(MueError) {
    do {
      try self.init(
        graph, indices, feeds, outputs, needed: Self.needed(graph, indices, outputs), context: context)
    } catch {
      // Elements of a large value may decide a shape after all: once more, with everything computed.
      let all = [Bool](repeating: true, count: graph.values.count)
      try self.init(graph, indices, feeds, outputs, needed: all, context: context)
    }
  }

  /// The elements of values that follow from sizes alone, one finished before the next is begun.
  ///
  /// - Parameter feeds: the graph's inputs.
  public static func constants(
    _ wanted: [ValueID], of graph: Graph, feeds: [ValueID: TensorInfo], context: ComputeContext
  ) throws(MueError) -> [ValueID: Tensor] {
    let nodes = graph.depthFirstSlice(to: wanted, from: Set(feeds.keys))
    let infos = try Specialization(graph, nodes: nodes, feeds: feeds, outputs: Set(wanted), context: context).infos
    var constants: [ValueID: Tensor] = [:]
    for value in wanted {
      guard let tensor = infos[value]?.constant else {
        throw MueError(.internal, "'\(graph.values[value].name)' does not follow from sizes alone")
      }
      constants[value] = tensor
    }
    return constants
  }

  private init(
    _ graph: Graph, _ indices: [Int], _ feeds: [ValueID: TensorInfo], _ outputs: Set<ValueID>, needed: [Bool],
    context: ComputeContext
  ) throws(MueError) {
    isNeeded = needed
    infos = [TensorInfo?](repeating: nil, count: graph.values.count)
    for (value, info) in feeds { infos[value] = info }
    var pendingUses = [Int](repeating: 0, count: graph.values.count)
    for index in indices {
      for case let input? in graph.nodes[index].inputs { pendingUses[input] += 1 }
    }
    for index in indices {
      let node = graph.nodes[index]
      do {
        let dying = node.inputs.compactMap { $0 }.filter {
          pendingUses[$0] == 1 && feeds[$0] == nil && !outputs.contains($0)
        }
        try infer(node, dying: dying, graph: graph, context: context)
      } catch {
        throw error.located(graph.location(of: node))
      }
      let runs = node.outputs.contains { $0.map { infos[$0]?.constant == nil && isNeeded[$0] } ?? false }
      if runs { dataNodes.append(index) }
      for case let input? in node.inputs {
        pendingUses[input] -= 1
        // Elements that only size-only nodes read are let go as soon as possible: position biases are large.
        if runs { pendingUses[input] = Int.min / 2 }
        if pendingUses[input] == 0, feeds[input] == nil, !outputs.contains(input) { infos[input]?.constant = nil }
      }
    }
  }

  /// Per value whether its elements reach an output other than through `Shape` and `Size`.
  private static func needed(_ graph: Graph, _ indices: [Int], _ outputs: Set<ValueID>) -> [Bool] {
    var isNeeded = [Bool](repeating: false, count: graph.values.count)
    for output in outputs { isNeeded[output] = true }
    for index in indices.reversed() {
      let node = graph.nodes[index]
      guard !node.readsShapeOnly, node.outputs.contains(where: { $0.map { isNeeded[$0] } ?? false }) else { continue }
      for case let input? in node.inputs { isNeeded[input] = true }
    }
    return isNeeded
  }

  /// Elements of values that no output needs are computed up to this many: shapes are short.
  private static let shapeElementLimit = 1 << 12

  /// - Parameter dying: the inputs that nothing else reads.
  private mutating func infer(
    _ node: Graph.Node, dying: [ValueID], graph: Graph, context: ComputeContext
  ) throws(MueError) {
    guard let kernel = graph.kernel(of: node) else {
      throw MueError(.unsupported, "operator \(node.operatorName) is not supported at opset \(graph.opset)")
    }
    var inputs: [TensorInfo?] = []
    for input in node.inputs {
      guard let input else {
        inputs.append(nil)
        continue
      }
      if infos[input] == nil, let constant = graph.values[input].constant { infos[input] = TensorInfo(constant) }
      guard let info = infos[input] else {
        throw MueError(.internal, "the shape of '\(graph.values[input].name)' is not known")
      }
      inputs.append(info)
    }
    if let shape = try Self.shapeConstant(node, inputs) {
      if case let output?? = node.outputs.first { infos[output] = TensorInfo(shape) }
      return
    }
    let isSizeOnly = inputs.allSatisfy { $0 == nil || $0?.constant != nil }
    let isWanted = node.outputs.contains { $0.map { isNeeded[$0] } ?? false }
    var results: [TensorInfo] = []
    if !isSizeOnly || !isWanted {
      results = try kernel.infer(
        Inference(
          inputs: inputs, attributes: node.attributes, opset: graph.opset, outputCount: node.outputs.count))
    }
    if isSizeOnly, isWanted || results.allSatisfy({ $0.shape.reduce(1, &*) <= Self.shapeElementLimit }) {
      var constants = inputs.map { $0?.constant }
      inputs = []
      let spare = kernel.mayOverwrite ? try spareBuffer(node, dying, &constants) : nil
      results = try OperatorTable.evaluate(
        kernel, inputs: constants, attributes: node.attributes, opset: graph.opset, outputCount: node.outputs.count,
        context: context, spare: spare
      ).map { TensorInfo($0) }
    }
    guard results.count >= node.outputs.count else {
      throw MueError(.invalidModel, "\(node.operatorName) has \(results.count) outputs, not \(node.outputs.count)")
    }
    for (output, info) in zip(node.outputs, results) {
      if let output { infos[output] = info }
    }
  }

  /// Memory is worth taking over from this many bytes.
  private static let spareByteLimit = 1 << 20

  /// The memory of a large input that dies with the node and that nobody else holds: the result may take it.
  ///
  /// - Parameter constants: the node's inputs.
  private mutating func spareBuffer(
    _ node: Graph.Node, _ dying: [ValueID], _ constants: inout [Tensor?]
  ) throws(MueError) -> Buffer? {
    for (position, input) in node.inputs.enumerated() {
      guard let input, dying.contains(input), let shape = infos[input]?.shape, let type = infos[input]?.type,
        try Shape.byteCount(shape, type) >= Self.spareByteLimit, var buffer = takeBuffer(input)
      else { continue }
      constants[position] = nil
      // Views, initializers and results kept elsewhere hold it too.
      let isSpare = isKnownUniquelyReferenced(&buffer)
      let tensor = try Tensor(type, shape, buffer: buffer)
      infos[input]?.constant = tensor
      constants[position] = tensor
      if isSpare { return buffer }
    }
    return nil
  }

  /// The memory of a constant that fills it, which the constant then no longer holds.
  private mutating func takeBuffer(_ value: ValueID) -> Buffer? {
    guard let tensor = infos[value]?.constant, tensor.byteCount == tensor.buffer.byteCount else { return nil }
    infos[value]?.constant = nil
    return tensor.buffer
  }

  /// The result of `Shape` or `Size`.
  private static func shapeConstant(_ node: Graph.Node, _ inputs: [TensorInfo?]) throws(MueError) -> Tensor? {
    guard node.readsShapeOnly else { return nil }
    guard let shape = inputs.first??.shape else { throw MueError(.invalidModel, "input 0 is missing") }
    if node.operatorName == "Size" { return try Tensor(.int64, [], [Int64(Shape.elementCount(shape))]) }
    let rank = shape.count
    func clamped(_ index: Int) -> Int { min(max(index < 0 ? index + rank : index, 0), rank) }
    let start = clamped(try node.attributes.int("start", default: 0))
    let end = clamped(try node.attributes.int("end", default: rank))
    let dimensions = start < end ? shape[start..<end].map { Int64($0) } : []
    return try Tensor(.int64, [dimensions.count], dimensions)
  }
}
