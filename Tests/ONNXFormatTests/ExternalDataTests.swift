import ONNXFormat
import Tensor
import Testing

/// External data stays inside the model's folder and inside its file.
@Suite struct ExternalDataTests {
  private func model(_ entries: [(String, String)]) -> [UInt8] {
    TinyModel(tensor: { tensor in
      tensor.string(8, "w")
      tensor.int(2, 1)
      tensor.ints(1, [2, 2], packed: true)
      for (key, value) in entries { tensor.entry(13, key, value) }
      tensor.int(14, 1)
    }).bytes
  }

  /// A folder with a model in `model/`, sixteen bytes of data beside it and in it, and links of both kinds.
  private func scene() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.folder("model")
    try folder.folder("model/sub")
    try folder.folder("models")
    let data = (0..<16).map { UInt8($0) }
    for name in ["secret", "model/inside", "model/sub/deep", "models/sibling"] { try folder.write(name, data) }
    try folder.link("model/out", to: "../secret")
    try folder.link("model/absoluteout", to: "\(folder.path)/secret")
    try folder.link("model/tosibling", to: "../models/sibling")
    try folder.link("model/folderout", to: "..")
    try folder.link("model/in", to: "sub/deep")
    try folder.link("model/absolutein", to: "\(folder.path)/model/inside")
    try folder.link("model/dangling", to: "nowhere")
    try folder.link("model/circle", to: "circle")
    try folder.link("alias", to: "model")
    try folder.write("model/empty", [])
    try #require(makeFIFO("\(folder.path)/model/fifo"))
    return folder
  }

  private func open(_ folder: TemporaryFolder, _ entries: [(String, String)]) throws -> Tensor {
    let path = try folder.write("model/model.onnx", model(entries))
    let initializer = try ONNXModel.open(path: path).graph.initializers[0]
    #expect(initializer.isExternal && initializer.byteRange == nil)
    return try initializer.tensor
  }

  @Test(arguments: ["inside", "./inside", "sub/deep", "sub//deep", "in", "absolutein"])
  func allowed(location: String) throws {
    let tensor = try open(scene(), [("location", location)])
    #expect(try tensor.elements(as: UInt32.self)[0] == 0x0302_0100)
  }

  @Test(arguments: [
    "../secret", "sub/../../secret", "sub/../inside", "..", "/etc/passwd", "out", "absoluteout", "tosibling",
    "folderout/secret", "folderout/model/../secret", "", "inside\0.txt",
  ])
  func refused(location: String) throws {
    let folder = try scene()
    let error = try failure { _ = try open(folder, [("location", location)]) }
    #expect(error.code == .invalidModel, "\(error)")
    #expect(error.location.file == "\(folder.path)/model/model.onnx")
    #expect(error.location.field == "graph.initializer[0].external_data")
    #expect(error.message.contains("tensor 'w'"))
  }

  @Test(arguments: [
    ("absent", MueError.Code.notFound), ("dangling", .notFound), ("circle", .notFound), ("sub", .inputOutput),
    ("fifo", .inputOutput), (".", .invalidModel),
  ])
  func unreadable(location: String, code: MueError.Code) throws {
    let error = try failure { _ = try open(scene(), [("location", location)]) }
    #expect(error.code == code, "\(error)")
  }

  @Test(arguments: [
    [("offset", "1")], [("offset", "16")], [("offset", "9223372036854775807")], [("offset", "9223372036854775808")],
    [("offset", "-1")], [("offset", "+0")], [("offset", " 0")], [("offset", "0x0")], [("offset", "")],
    [("length", "15")], [("length", "17")], [("length", "-16")], [("length", "9223372036854775807")],
    [("location", "empty")],
  ])
  func outsideTheFile(entries: [(String, String)]) throws {
    let error = try failure { _ = try open(scene(), [("location", "inside")] + entries) }
    #expect(error.code == .invalidModel, "\(error)")
    #expect(error.location.field == "graph.initializer[0].external_data")
  }

  @Test func offsetsAndSharing() throws {
    let folder = try TemporaryFolder()
    var random = RandomSource()
    let data = random.bytes(1000)
    try folder.write("data", data)
    try folder.link("link", to: "data")
    let bytes = TinyModel(graph: { graph in
      for (offset, location) in [(0, "data"), (7, "data"), (984, "link"), (64, "./data")] {
        graph.message(5) { tensor in
          tensor.int(2, 2)
          tensor.ints(1, [16], packed: true)
          tensor.entry(13, "location", location)
          tensor.entry(13, "offset", "\(offset)")
          tensor.entry(13, "length", "16")
          tensor.entry(13, "checksum", "of no interest")
          tensor.int(14, 1)
        }
      }
    }).bytes
    let model = try ONNXModel.open(path: folder.write("model.onnx", bytes))
    let tensors = try model.graph.initializers.dropFirst().map { try $0.tensor }
    for (tensor, offset) in zip(tensors, [0, 7, 984, 64]) {
      #expect(try tensor.elements(as: UInt8.self) == Array(data[offset..<offset + 16]))
      #expect(tensor.buffer === tensors[0].buffer)
    }
  }

  /// Hugging Face's cache: the model and its data are links into another folder.
  @Test func modelBehindALink() throws {
    let folder = try TemporaryFolder()
    try folder.folder("blobs")
    try folder.folder("snapshot")
    try folder.write("blobs/1234", model([("location", "model.onnx_data")]))
    try folder.write("blobs/5678", [UInt8](repeating: 3, count: 16))
    try folder.write("secret", [UInt8](repeating: 4, count: 16))
    let path = try folder.link("snapshot/model.onnx", to: "../blobs/1234")
    try folder.link("snapshot/model.onnx_data", to: "../blobs/5678")
    #expect(try ONNXModel.open(path: path).graph.initializers[0].tensor.elements(as: UInt32.self)[0] == 0x0303_0303)
    try folder.write("blobs/1234", model([("location", "out")]))
    try folder.link("snapshot/out", to: "../secret")
    #expect(try failure { _ = try ONNXModel.open(path: path) }.code == .invalidModel)
  }

  @Test func bytesNeedAFolder() throws {
    let folder = try scene()
    let bytes = model([("location", "inside")])
    let error = try failure { _ = try parse(bytes) }
    #expect(error.code == .unsupported)
    #expect(error.message.contains("no folder for external data"))
    for name in ["model", "alias", "model/sub/.."] {
      let read = try parse(bytes, folder: "\(folder.path)/\(name)")
      #expect(try read.graph.initializers[0].tensor.count == 4)
    }
    #expect(try failure { _ = try parse(bytes, folder: folder.path + "/absent") }.code == .notFound)
  }

  @Test func noLocation() throws {
    #expect(try failure { _ = try open(scene(), [("offset", "0")]) }.message.contains("no location"))
  }
}
