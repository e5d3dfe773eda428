import ONNXFormat
import Tensor
import Testing

/// What is wrong with a file, and where: code, byte offset and field path.
@Suite struct MalformedModelTests {
  @Test func tinyModelIsFine() throws {
    let model = try parse(TinyModel().bytes)
    #expect(model.irVersion == 8)
    #expect(model.opsetImports == ["": 17])
    #expect(model.graph.nodes.map(\.opType) == ["Relu"])
    #expect(try model.graph.initializers[0].tensor.shape == [2, 2])
  }

  @Test(
    arguments: [
      ([], "not an ONNX model: it is empty"),
      (Array("{\"model\": 3}".utf8), "not an ONNX model: it is text"),
      (Array("Hello\r\n\tworld, this is a readme and nothing else".utf8), "not an ONNX model: it is text"),
      (Array("version https://git-lfs.github.com/spec/v1\noid".utf8), "not an ONNX model: it is a Git LFS pointer"),
      (
        [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13],
        "not an ONNX model: 0 is not a protobuf field tag"
      ),
      ([0xff, 0xd8, 0xff, 0xe0], "not an ONNX model: a variable-length integer is cut off"),
      ([0x08, 0x08], "not an ONNX model: it has no graph"),
      ([0x00, 0x00, 0x00], "not an ONNX model: 0 is not a protobuf field tag"),
    ] as [([UInt8], String)])
  func otherFiles(bytes: [UInt8], message: String) throws {
    let error = try failure { _ = try parse(bytes) }
    #expect(error.code == .invalidModel)
    #expect(error.message.hasPrefix(message), "\(error)")
    #expect(error.location.file == "sample.onnx")
  }

  /// The error of a model whose node ends in `bytes`, which begin at the returned offset.
  private func nodeError(_ bytes: [UInt8]) throws -> (error: MueError, offset: Int) {
    let marker: [UInt8] = [0x9a, 0xee, 0x02, 0x03, 0xa1, 0xb2, 0xc3]  // an unknown field, to find the place again
    let model = TinyModel(node: { $0.raw(marker + bytes) }).bytes
    let start = try #require(model.indices.first { model[$0...].starts(with: marker) })
    return (try failure { _ = try parse(model) }, start + marker.count)
  }

  @Test(
    arguments: [
      ([0x08], "wire type"),  // field 1 as a number
      ([0x0a, 0x7f], "127 bytes in a message that has 0"),
      ([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "18446744073709551615 bytes"),
      ([0x98, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "overflows 64 bits"),
      ([0x98, 0x06, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "overflows 64 bits"),
      ([0x98, 0x06, 0x80], "cut off"),
      ([0x9d, 0x06, 1, 2, 3], "cut off"),
      ([0x99, 0x06, 1, 2, 3, 4, 5, 6, 7], "cut off"),
      ([0x9b, 0x06, 0x9c, 0x06], "group"),
      ([0x9c, 0x06], "group"),
      ([0x9e, 0x06], "wire type 6"),
      ([0x9f, 0x06], "wire type 7"),
      ([0x02, 0x00], "not a protobuf field tag"),  // field number 0
      ([0x80, 0x80, 0x80, 0x80, 0x10, 0x00], "not a protobuf field tag"),  // beyond 29 bits
      ([0x0a, 0x02, 0xc3, 0x28], "not UTF-8"),
      ([0x1a, 0x03, 0xed, 0xa0, 0x80], "not UTF-8"),  // a surrogate
    ] as [([UInt8], String)])
  func wireErrors(bytes: [UInt8], message: String) throws {
    let (error, offset) = try nodeError(bytes)
    #expect(error.code == .invalidModel)
    #expect(error.message.contains(message), "\(error)")
    #expect(error.location.byteOffset == offset)
    #expect(error.location.field?.hasPrefix("graph.node[0]") == true, "\(error)")
    #expect(error.location.file == "sample.onnx")
  }

  @Test func largestVarintIsFine() throws {
    var node: [UInt8] = [0x98, 0x06]
    node += [UInt8](repeating: 0xff, count: 9) + [0x01]
    #expect(try parse(TinyModel(node: { $0.raw(node) }).bytes).graph.nodes.count == 1)
  }

  /// Writes into the initializer, after all else.
  struct SpoiledTensor: Sendable {
    let field: String
    let message: String
    let spoil: @Sendable (inout ProtoWriter) -> Void
  }

  static let spoiledTensors: [SpoiledTensor] = [
    .init(field: "dims", message: "negative dimension -1") { $0.ints(1, [-1], packed: true) },
    .init(field: "dims", message: "negative dimension -9223372036854775808") { $0.ints(1, [3, .min], packed: false) },
    .init(field: "dims", message: "too many elements") { $0.ints(1, [1 << 40, 1 << 40], packed: true) },
    .init(field: "dims", message: "too many elements") { $0.ints(1, [.max, 2], packed: true) },
    .init(field: "dims", message: "more than 64 dimensions") {
      $0.ints(1, [Int](repeating: 1, count: 65), packed: true)
    },
    .init(field: "data_type", message: "32-bit integer overflows") { $0.int(2, 1 << 32 + 1) },
    .init(field: "data_type", message: "no element type") { $0.int(2, 0) },
    .init(field: "raw_data", message: "needs 16 bytes, but has 15") { $0.data(9, [UInt8](repeating: 0, count: 15)) },
    .init(field: "raw_data", message: "needs 16 bytes, but has 0") { $0.data(9, []) },
    .init(field: "raw_data", message: "both raw_data and") { $0.floats(4, [1], packed: true) },
    .init(field: "data_location", message: "data location 2") { $0.int(14, 2) },
    .init(field: "data_location", message: "both here and in another file") { $0.int(14, 1) },
  ]

  @Test(arguments: spoiledTensors)
  func tensorErrors(sample: SpoiledTensor) throws {
    let (field, message) = (sample.field, sample.message)
    let bytes = TinyModel(tensor: { tensor in
      if field != "dims" { tensor.ints(1, [2, 2], packed: true) }
      tensor.int(2, 1)
      tensor.string(8, "w")
      tensor.data(9, [UInt8](repeating: 1, count: 16))
      sample.spoil(&tensor)
    }).bytes
    let error = try failure { _ = try parse(bytes) }
    #expect(error.code == (message.contains("too many") || message.contains("more") ? .limitExceeded : .invalidModel))
    #expect(error.message.contains(message), "\(error)")
    let path = try #require(error.location.field)
    #expect(path.hasPrefix("graph.initializer[0].\(field)"))
    let offset = try #require(error.location.byteOffset)
    #expect(offset > 10 && offset <= bytes.count)
  }

  @Test func attributeErrors() throws {
    func error(_ write: @escaping (inout ProtoWriter) -> Void) throws -> MueError {
      try failure { _ = try parse(TinyModel(node: { $0.message(5, write) }).bytes) }
    }
    let mismatch = try error { attribute in
      attribute.string(1, "alpha")
      attribute.int(3, 4)
      attribute.int(20, 1)
    }
    #expect(mismatch.message.contains("declares another type"))
    #expect(mismatch.location.field == "graph.node[0].attribute[0].type")
    let missing = try error { attribute in
      attribute.string(1, "value")
      attribute.int(20, 4)
    }
    #expect(missing.location.field == "graph.node[0].attribute[0].t")
    let nested = try error { attribute in
      attribute.string(1, "body")
      attribute.int(20, 5)
      attribute.message(6) { graph in
        graph.message(5) { tensor in
          tensor.int(2, 7)
          tensor.ints(1, [3], packed: true)
          tensor.ints(7, [1, 2], packed: true)
        }
      }
    }
    #expect(nested.location.field == "graph.node[0].attribute[0].g.initializer[0].int64_data")
    #expect(nested.message.contains("needs 3 elements in int64_data, but has 2 in int64_data"))
    let twice = try failure {
      _ = try parse(
        TinyModel(node: { node in
          for value in 1...2 {
            node.message(5) { attribute in
              attribute.string(1, "axis")
              attribute.int(3, value)
            }
          }
        }).bytes)
    }
    #expect(twice.message.contains("two attributes 'axis'"))
  }

  @Test func modelErrors() throws {
    let twice = try failure {
      _ = try parse(TinyModel(model: { $0.message(8) { $0.int(2, 18) } }).bytes)
    }
    #expect(twice.location.field == "opset_import[1]")
    let sparse = try failure { _ = try parse(TinyModel(graph: { $0.message(15) { _ in } }).bytes) }
    #expect(sparse.code == .unsupported)
    #expect(sparse.location.field == "graph.sparse_initializer")
  }

  @Test func notRegularFiles() throws {
    let folder = try TemporaryFolder()
    #expect(try failure { _ = try ONNXModel.open(path: folder.path) }.message.contains("directory"))
    #expect(try failure { _ = try ONNXModel.open(path: "/dev/zero") }.code == .inputOutput)
    #expect(try failure { _ = try ONNXModel.open(path: folder.path + "/absent.onnx") }.code == .notFound)
    #expect(try failure { _ = try ONNXModel.open(path: "") }.code == .notFound)
    #expect(try failure { _ = try ONNXModel.open(path: "\(folder.path)/a\0b") }.code == .invalidArgument)
    let fifo = "\(folder.path)/fifo"
    try #require(makeFIFO(fifo))
    #expect(try failure { _ = try ONNXModel.open(path: fifo) }.message.contains("regular"))
    let empty = try folder.write("empty.onnx", [])
    let error = try failure { _ = try ONNXModel.open(path: empty) }
    #expect(error.message == "not an ONNX model: it is empty")
    #expect(error.location.file == empty)
  }
}
