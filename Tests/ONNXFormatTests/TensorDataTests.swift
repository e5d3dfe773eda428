import Glibc
import ONNXFormat
import Tensor
import Testing

/// Where the elements of tensors come from and what they are.
@Suite struct TensorDataTests {
  private func tensor(_ write: @escaping (inout ProtoWriter) -> Void) throws -> ONNXTensor {
    try parse(TinyModel(tensor: write).bytes).graph.initializers[0]
  }

  @Test func rawDataIsNotCopied() throws {
    var random = RandomSource()
    // Any alignment, by a name of any length.
    for length in 1...9 {
      let raw = random.bytes(24)
      let bytes = TinyModel(tensor: { tensor in
        tensor.string(8, String(repeating: "n", count: length))
        tensor.int(2, 7)
        tensor.ints(1, [3], packed: true)
        tensor.data(9, raw)
      }).bytes
      let whole = try buffer(bytes)
      let model = try ONNXModel.parse(whole, file: nil, externalDirectory: nil)
      let initializer = model.graph.initializers[0]
      let range = try #require(initializer.byteRange)
      #expect(Array(bytes[range]) == raw)
      let tensor = try initializer.tensor
      #expect(tensor.buffer === whole)
      #expect(tensor.byteOffset == range.lowerBound)
      let expected = raw.withUnsafeBytes { from in
        (0..<3).map { from.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self) }
      }
      #expect(try tensor.elements(as: Int64.self) == expected)
    }
  }

  @Test(arguments: [true, false]) func typedLists(packed: Bool) throws {
    func values<Element: BitwiseCopyable>(
      _ type: ElementType, _: Element.Type, _ write: @escaping (inout ProtoWriter) -> Void
    ) throws -> [Element] {
      let read = try tensor { tensor in
        tensor.ints(1, [3, 1], packed: packed)
        write(&tensor)
        tensor.int(2, Int(type.rawValue))
      }
      #expect(read.byteRange == nil && !read.isExternal)
      return try read.tensor.elements(as: Element.self)
    }
    #expect(
      try values(.float32, Float.self) { $0.floats(4, [1.5, -0.0, .infinity], packed: packed) } == [1.5, 0, .infinity])
    #expect(try values(.float64, Double.self) { $0.doubles(10, [1e300, -2, 0], packed: packed) } == [1e300, -2, 0])
    #expect(try values(.int8, Int8.self) { $0.ints(5, [-128, 127, -1], packed: packed) } == [-128, 127, -1])
    #expect(try values(.uint8, UInt8.self) { $0.ints(5, [0, 255, 7], packed: packed) } == [0, 255, 7])
    #expect(try values(.int16, Int16.self) { $0.ints(5, [-32768, 32767, 0], packed: packed) } == [-32768, 32767, 0])
    #expect(try values(.uint16, UInt16.self) { $0.ints(5, [65535, 1, 0], packed: packed) } == [65535, 1, 0])
    #expect(try values(.int32, Int32.self) { $0.ints(5, [-2_147_483_648, 5, -1], packed: packed) } == [.min, 5, -1])
    #expect(try values(.bool, UInt8.self) { $0.ints(5, [1, 0, 1], packed: packed) } == [1, 0, 1])
    #expect(
      try values(.float16, UInt16.self) { $0.ints(5, [0x3c00, 0xfbff, 1], packed: packed) } == [0x3c00, 0xfbff, 1])
    #expect(
      try values(.bfloat16, UInt16.self) { $0.ints(5, [0x3f80, 0xff80, 0], packed: packed) } == [0x3f80, 0xff80, 0])
    #expect(try values(.int64, Int64.self) { $0.ints(7, [.min, .max, -1], packed: packed) } == [.min, .max, -1])
    #expect(try values(.uint32, UInt32.self) { $0.ints(11, [4_294_967_295, 0, 1], packed: packed) } == [.max, 0, 1])
    #expect(try values(.uint64, UInt64.self) { $0.ints(11, [-1, 0, 1], packed: packed) } == [.max, 0, 1])
  }

  /// Protobuf lets a repeated field come in any number of parts.
  @Test func listInParts() throws {
    let read = try tensor { tensor in
      tensor.ints(7, [1, 2], packed: true)
      tensor.ints(1, [2], packed: true)
      tensor.ints(7, [3], packed: false)
      tensor.int(2, 7)
      tensor.ints(1, [2], packed: false)
      tensor.ints(7, [4], packed: true)
    }
    #expect(try read.tensor.elements(as: Int64.self) == [1, 2, 3, 4])
    #expect(read.shape == [2, 2])
  }

  @Test(
    arguments: [
      (.int8, 5, 128), (.uint8, 5, -1), (.uint8, 5, 256), (.int16, 5, -32769), (.uint16, 5, 65536), (.float16, 5, -1),
      (.bfloat16, 5, 1 << 16), (.int32, 5, 1 << 31), (.uint32, 11, 1 << 32), (.uint32, 11, -1),
    ] as [(ElementType, Int, Int)])
  func outOfRange(type: ElementType, field: Int, value: Int) throws {
    let error = try failure {
      _ = try tensor { tensor in
        tensor.int(2, Int(type.rawValue))
        tensor.ints(1, [1], packed: true)
        tensor.ints(field, [value], packed: true)
      }
    }
    #expect(error.code == .invalidModel)
    #expect(error.message.contains("outside the range of \(type.name)"))
    #expect(error.location.field == "graph.initializer[0].\(field == 5 ? "int32_data" : "uint64_data")")
  }

  @Test func wrongListForType() throws {
    let error = try failure {
      _ = try tensor { tensor in
        tensor.int(2, 7)
        tensor.ints(1, [2], packed: true)
        tensor.floats(4, [1, 2], packed: true)
      }
    }
    #expect(error.message.contains("needs 2 elements in int64_data, but has 2 in float_data"))
  }

  @Test func emptyAndScalarTensors() throws {
    let empty = try tensor { tensor in
      tensor.int(2, 1)
      tensor.ints(1, [0, 3], packed: true)
    }
    #expect(try empty.tensor.count == 0)
    let scalar = try tensor { tensor in
      tensor.int(2, 1)
      tensor.floats(4, [2.5], packed: true)
    }
    #expect(try scalar.tensor.shape == [])
    #expect(try scalar.tensor.elements(as: Float.self) == [2.5])
    let missing = try failure { _ = try tensor { $0.int(2, 1) } }
    #expect(missing.message.contains("has no data"))
  }

  /// A segment's field number with another wire type is no segment but a broken file.
  @Test func segmentOfWrongWireType() throws {
    let error = try failure {
      _ = try tensor { tensor in
        tensor.int(2, 1)
        tensor.int(3, 1)
        tensor.floats(4, [2.5], packed: true)
      }
    }
    #expect(error.code == .invalidModel)
  }

  @Test(arguments: [
    (8, "string"), (22, "int4"), (21, "uint4"), (17, "float8e4m3fn"), (14, "complex64"), (77, "number 77"),
  ])
  func unsupportedTypesFailOnUse(number: Int, name: String) throws {
    let read = try tensor { tensor in
      tensor.int(2, number)
      tensor.ints(1, [2], packed: true)
      tensor.string(8, "strange")
      tensor.string(6, "a")
      tensor.data(9, [1])
    }
    #expect(read.shape == [2] && Int(read.dataType) == number)
    let error = try failure { _ = try read.tensor }
    #expect(error.code == .unsupported)
    #expect(error.message.contains("'strange'") && error.message.contains(name))
  }

  /// The mapping goes with the last tensor, not with the model.
  @Test func mappingLivesAsLongAsItsTensors() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("model.onnx", TinyModel().bytes)
    func isMapped() throws -> Bool {
      let maps = String(decoding: try readAll("/proc/self/maps"), as: UTF8.self)
      return maps.split(separator: "\n").contains { $0.hasSuffix(path) }
    }
    var tensor: Tensor? = try ONNXModel.open(path: path).graph.initializers[0].tensor
    #expect(try isMapped())
    #expect(try tensor?.elements(as: UInt32.self) == [0x0101_0101, 0x0101_0101, 0x0101_0101, 0x0101_0101])
    tensor = nil
    #expect(try !isMapped())
  }

  /// Kernels may load whole registers at a tensor's end, also where the file fills its last page.
  @Test func bytesPastTheFileAreReadable() throws {
    let folder = try TemporaryFolder()
    let rest = TinyModel(model: { $0.data(900, [UInt8](repeating: 0, count: 3000)) }).bytes.count
    let bytes = TinyModel(model: { $0.data(900, [UInt8](repeating: 0, count: 3000 + 4096 - rest)) }).bytes
    try #require(bytes.count == 4096)
    let model = try ONNXModel.open(path: folder.write("page.onnx", bytes))
    let buffer = try model.graph.initializers[0].tensor.buffer
    #expect(buffer.byteCount == 4096)
    #expect((0..<64).allSatisfy { buffer.base.load(fromByteOffset: 4096 + $0, as: UInt8.self) == 0 })
  }

  /// Files of /proc have no size to ask for.
  private func readAll(_ path: String) throws -> [UInt8] {
    let stream = try #require(fopen(path, "rb"))
    defer { fclose(stream) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&part, 1, part.count, stream)
      if count == 0 { return bytes }
      bytes += part[..<count]
    }
  }
}
