import ONNXFormat
import Tensor
import Testing

/// Every limit refuses one beyond it and accepts what just meets it.
@Suite struct LimitTests {
  private func expectLimit(
    _ bytes: [UInt8], _ name: WritableKeyPath<ONNXLimits, Int>, meets: Int, field: String?,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var limits = ONNXLimits()
    limits[keyPath: name] = meets
    _ = try parse(bytes, limits: limits)
    limits[keyPath: name] = meets - 1
    let error = try failure { _ = try parse(bytes, limits: limits) }
    #expect(error.code == .limitExceeded, "\(error)", sourceLocation: sourceLocation)
    #expect(error.location.field == field, "\(error)", sourceLocation: sourceLocation)
    #expect(error.location.file == "sample.onnx", sourceLocation: sourceLocation)
  }

  /// A node whose subgraph holds a node, `depth` times.
  private static func nested(_ writer: inout ProtoWriter, depth: Int) {
    writer.string(4, "If")
    guard depth > 0 else { return }
    writer.message(5) { attribute in
      attribute.string(1, "then_branch")
      attribute.int(20, 5)
      attribute.message(6) { graph in graph.message(1) { nested(&$0, depth: depth - 1) } }
    }
  }

  @Test func modelBytes() throws {
    let bytes = TinyModel().bytes
    try expectLimit(bytes, \.modelBytes, meets: bytes.count, field: nil)
    let folder = try TemporaryFolder()
    let path = try folder.write("model.onnx", bytes)
    var limits = ONNXLimits()
    limits.modelBytes = bytes.count - 1
    #expect(try failure { _ = try ONNXModel.open(path: path, limits: limits) }.code == .limitExceeded)
  }

  @Test func externalFilesCountAsModelBytes() throws {
    let bytes = TinyModel(tensor: { tensor in
      tensor.int(2, 2)
      tensor.ints(1, [8], packed: true)
      tensor.entry(13, "location", "data")
      tensor.int(14, 1)
    }).bytes
    let folder = try TemporaryFolder()
    try folder.write("data", [UInt8](repeating: 0, count: 100))
    let path = try folder.write("model.onnx", bytes)
    var limits = ONNXLimits()
    limits.modelBytes = bytes.count + 100
    _ = try ONNXModel.open(path: path, limits: limits)
    limits.modelBytes -= 1
    #expect(try failure { _ = try ONNXModel.open(path: path, limits: limits) }.code == .limitExceeded)
  }

  @Test func nodes() throws {
    try expectLimit(
      TinyModel(node: { Self.nested(&$0, depth: 2) }).bytes, \.nodes, meets: 3,
      field: "graph.node[0].attribute[0].g.node[0].attribute[0].g.node[0]")
  }

  @Test func tensors() throws {
    let bytes = TinyModel(graph: { graph in
      for _ in 0..<3 { graph.message(5) { $0.int(2, 8) } }
    }).bytes
    try expectLimit(bytes, \.tensors, meets: 4, field: "graph.initializer[3]")
  }

  @Test func tensorElements() throws {
    try expectLimit(TinyModel().bytes, \.tensorElements, meets: 4, field: "graph.initializer[0].dims")
  }

  @Test func nesting() throws {
    try expectLimit(
      TinyModel(node: { Self.nested(&$0, depth: 3) }).bytes, \.nesting, meets: 4,
      field: "graph.node[0]" + String(repeating: ".attribute[0].g.node[0]", count: 2) + ".attribute[0].g")
  }

  /// Messages of two bytes that each take memory: one more than 16 for each of 4096 nodes.
  @Test(arguments: [9, 11]) func emptyMessages(field: Int) throws {
    func bytes(_ count: Int) -> [UInt8] {
      TinyModel(node: { node in
        node.message(5) { attribute in
          attribute.string(1, "many")
          attribute.raw((0..<count).flatMap { _ in [UInt8(field << 3 | 2), 0] })
        }
      }).bytes
    }
    var limits = ONNXLimits()
    limits.nodes = 1
    // Taken before: the tensor's and the graph's name, the main graph, three names of the node, one of the attribute.
    let room = 16 * 4096 - 7
    _ = try parse(bytes(room), limits: limits)
    let error = try failure { _ = try parse(bytes(16 * 4096 + 1), limits: limits) }
    #expect(error.code == .limitExceeded)
    #expect(error.location.field?.hasPrefix("graph.node[0].attribute[0].\(field == 9 ? "strings" : "graphs")[") == true)
  }

  @Test func deepNestingEndsInAnError() throws {
    let bytes = TinyModel(node: { Self.nested(&$0, depth: 400) }).bytes
    #expect(try failure { _ = try parse(bytes) }.code == .limitExceeded)
  }

  @Test func stringBytes() throws {
    let bytes = TinyModel(node: { $0.string(3, String(repeating: "n", count: 100)) }).bytes
    try expectLimit(bytes, \.stringBytes, meets: 100, field: "graph.node[0].name")
    let attribute = TinyModel(node: { node in
      node.message(5) { attribute in
        attribute.string(1, "a")
        attribute.string(4, String(repeating: "v", count: 50))
      }
    }).bytes
    try expectLimit(attribute, \.stringBytes, meets: 50, field: "graph.node[0].attribute[0].s")
  }

  /// A large shape costs nothing before its data is there.
  @Test func shapeWithoutDataAllocatesNothing() throws {
    let bytes = TinyModel(tensor: { tensor in
      tensor.int(2, 1)
      tensor.ints(1, [1 << 33], packed: true)
      tensor.floats(4, [1], packed: true)
    }).bytes
    #expect(try failure { _ = try parse(bytes) }.code == .invalidModel)
  }
}
