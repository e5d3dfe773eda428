import Kernels
import Tensor

/// How every value's shape follows from the sizes of the graph's inputs, found by inference at several sizes.
///
/// Inference at fixed sizes handles every operator, shape arithmetic included, with no rule of its own. Doing it at a
/// base point and once more per symbol tells which dimensions move with which symbol, and how fast.
public struct ShapeTable: Sendable {
  /// A free size of the inputs, such as `batch`.
  public struct Symbol: Sendable, Equatable {
    public var name: String
    /// The sizes it is probed at.
    public var base: Int
    public var probe: Int

    public init(_ name: String, base: Int, probe: Int) {
      self.name = name
      self.base = base
      self.probe = probe
    }
  }

  /// What is known of one dimension.
  public struct Dimension: Sendable, Equatable {
    /// The size at the base point.
    public var base: Int
    /// Per symbol the growth of the dimension when the symbol goes from its base to its probe size.
    public var growth: [Int]

    public func depends(on symbol: Int) -> Bool { growth[symbol] != 0 }
    public var isFixed: Bool { growth.allSatisfy { $0 == 0 } }
  }

  public struct Entry: Sendable {
    public var type: ElementType
    public var shape: [Dimension]
    /// True when the elements follow from the sizes of the inputs alone.
    public var isSizeOnly: Bool
  }

  public let symbols: [Symbol]
  public private(set) var entries: [Entry?]

  /// - Parameter shape: the shape of each graph input for given sizes of the symbols, in their order.
  public init(
    _ graph: Graph, symbols: [Symbol], context: ComputeContext,
    shape: (Graph.Port, [Int]) throws(MueError) -> (ElementType, [Int])
  ) throws(MueError) {
    self.symbols = symbols
    func infer(_ sizes: [Int]) throws(MueError) -> [TensorInfo?] {
      var feeds: [ValueID: TensorInfo] = [:]
      for port in graph.inputs {
        let (type, dimensions) = try shape(port, sizes)
        feeds[port.value] = TensorInfo(type, dimensions)
      }
      return try Specialization(
        graph, nodes: Array(graph.nodes.indices), feeds: feeds, outputs: [], context: context
      ).infos
    }
    let baseSizes = symbols.map(\.base)
    let base = try infer(baseSizes)
    entries = try zip(base, graph.values).map { (info, value) throws(MueError) -> Entry? in
      guard let info = info ?? value.constant.map({ TensorInfo($0) }) else { return nil }
      return Entry(
        type: info.type,
        shape: info.shape.map { Dimension(base: $0, growth: [Int](repeating: 0, count: symbols.count)) },
        isSizeOnly: value.constant != nil)
    }
    let dependsOnData = graph.dependents(of: graph.inputs.map(\.value))
    for index in entries.indices where entries[index] != nil { entries[index]?.isSizeOnly = !dependsOnData[index] }
    for (position, symbol) in symbols.enumerated() {
      var sizes = baseSizes
      sizes[position] = symbol.probe
      let probed = try infer(sizes)
      for (value, info) in probed.enumerated() {
        guard let info, let entry = entries[value], entry.shape.count == info.shape.count else { continue }
        for (axis, size) in info.shape.enumerated() {
          entries[value]?.shape[axis].growth[position] = size - entry.shape[axis].base
        }
      }
    }
  }

  /// The axes of `value` that move with the symbol at `index`.
  public func axes(of value: ValueID, dependingOn index: Int) -> [Int] {
    guard let entry = entries[value] else { return [] }
    return entry.shape.indices.filter { entry.shape[$0].depends(on: index) }
  }

  /// True when both values have one shape at every size of the symbols.
  public func haveSameShape(_ a: ValueID, _ b: ValueID) -> Bool {
    guard let left = entries[a], let right = entries[b] else { return false }
    return left.shape == right.shape
  }

  /// A shape for people: fixed sizes as numbers, others as `base`-free expressions such as `batch` or `2*text+1`.
  public func description(of value: ValueID) -> [String]? {
    entries[value]?.shape.map { dimension in
      let moving = symbols.indices.filter { dimension.depends(on: $0) }
      guard !moving.isEmpty else { return "\(dimension.base)" }
      guard moving.count == 1, let index = moving.first else {
        return moving.map { symbols[$0].name }.joined(separator: "*")
      }
      let step = symbols[index].probe - symbols[index].base
      guard dimension.growth[index] % step == 0 else { return "f(\(symbols[index].name))" }
      let factor = dimension.growth[index] / step
      let offset = dimension.base - factor * symbols[index].base
      let term = factor == 1 ? symbols[index].name : "\(factor)*\(symbols[index].name)"
      return offset == 0 ? term : "\(term)\(offset < 0 ? "-" : "+")\(abs(offset))"
    }
  }
}
