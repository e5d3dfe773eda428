import ONNXFormat
import Tensor

/// Models with every kind of field, made at random by `ProtoWriter`.
struct SampleModels {
  var random: RandomSource
  /// Depth of the subgraph that is being written.
  private var depth = 0
  /// External data files by name; tensors lie at any offset.
  private(set) var externalFiles: [String: [UInt8]] = [:]
  private let allowsExternal: Bool

  init(_ random: RandomSource, external: Bool = false) {
    self.random = random
    self.allowsExternal = external
  }

  mutating func model(nodes: Int = 12) -> [UInt8] {
    var writer = ProtoWriter()
    writer.int(1, random.int(3...12))
    writer.string(2, random.name())
    writer.string(3, random.name())
    writer.string(6, "documentation that nobody reads")
    writer.int(900, 77)  // an unknown field
    graph(&writer, 7, nodes: nodes)
    if random.bool() { graph(&writer, 7, nodes: 2) }  // protobuf merges the second part into the first
    writer.message(8) { $0.int(2, 17) }
    writer.message(8) { inner in
      inner.string(1, "com.example")
      inner.int(2, 3)
    }
    writer.entry(14, "key", "first")
    writer.entry(14, "key", random.name())
    writer.entry(14, random.name(), "")
    for _ in 0..<random.int(0...2) { function(&writer) }
    return writer.bytes
  }

  /// A model of at most `byteLimit` bytes, for tests that spoil every byte of it.
  mutating func model(byteLimit: Int) -> [UInt8] {
    while true {
      let bytes = model(nodes: 3)
      if bytes.count <= byteLimit { return bytes }
    }
  }

  private mutating func function(_ writer: inout ProtoWriter) {
    var inner = ProtoWriter()
    inner.string(1, random.name())
    inner.string(10, random.bool() ? "ai.onnx" : "com.example")
    inner.string(4, "a")
    inner.string(5, "b")
    inner.string(6, "alpha")
    for _ in 0..<random.int(1...3) { node(&inner, 7) }
    inner.message(9) { $0.int(2, 16) }
    writer.data(25, inner.bytes)
  }

  private mutating func graph(_ writer: inout ProtoWriter, _ field: Int, nodes: Int) {
    depth += 1
    defer { depth -= 1 }
    var inner = ProtoWriter()
    for _ in 0..<nodes { node(&inner, 1) }
    inner.string(2, random.name())
    for _ in 0..<random.int(1...5) { tensor(&inner, 5) }
    inner.string(10, "documentation")
    for field in [11, 12, 13] {
      for _ in 0..<random.int(0...3) { value(&inner, field) }
    }
    writer.data(field, inner.bytes)
  }

  private mutating func node(_ writer: inout ProtoWriter, _ field: Int) {
    var inner = ProtoWriter()
    for _ in 0..<random.int(0...4) { inner.string(1, random.int(0...4) == 0 ? "" : random.name()) }
    for _ in 0..<random.int(0...2) { inner.string(2, random.name()) }
    if random.bool() { inner.string(3, random.name()) }
    inner.string(4, random.name())
    for index in 0..<random.int(0...4) { attribute(&inner, index) }
    if random.bool() { inner.string(7, random.bool() ? "ai.onnx" : random.name()) }
    inner.entry(9, "pkg.torch.onnx.name_scopes", "ignored")
    writer.data(field, inner.bytes)
  }

  private mutating func attribute(_ writer: inout ProtoWriter, _ index: Int) {
    var inner = ProtoWriter()
    inner.string(1, "\(random.name())#\(index)")
    if random.int(0...9) == 0 {
      inner.string(21, random.name())
      inner.int(20, 1)
      writer.data(5, inner.bytes)
      return
    }
    let kind = random.int(1...(depth < 3 ? 14 : 9))
    let count = random.int(0...5)
    let packed = random.bool()
    switch kind {
    case 1: inner.float(2, Float(bitPattern: UInt32(truncatingIfNeeded: random.next())))
    case 2:
      if random.bool() { inner.int(3, 5) }  // the last one wins
      inner.int(3, random.anyInt())
    case 3: inner.data(4, random.int(0...4) == 0 ? random.bytes(9) : Array(random.name().utf8))
    case 4: tensor(&inner, 5)
    case 5: graph(&inner, 6, nodes: random.int(0...3))
    case 6: inner.floats(7, (0..<count).map { Float($0) / 3 }, packed: packed)
    case 7: inner.ints(8, (0..<count).map { _ in random.anyInt() }, packed: packed)
    case 8: for _ in 0..<count { inner.string(9, random.name()) }
    case 9: for _ in 0..<count { tensor(&inner, 10) }
    case 10: for _ in 0..<random.int(0...2) { graph(&inner, 11, nodes: 1) }
    case 11: inner.message(22) { _ in }
    case 12: inner.message(23) { _ in }
    case 13: inner.message(14) { $0.message(1) { $0.int(1, 1) } }
    default: inner.message(15) { $0.message(1) { $0.int(1, 7) } }
    }
    // Only scalars tell their kind without a declaration, as in IR version 1.
    if kind > 3 || random.int(0...3) > 0 { inner.int(20, kind) }
    writer.data(5, inner.bytes)
  }

  private mutating func value(_ writer: inout ProtoWriter, _ field: Int) {
    var inner = ProtoWriter()
    inner.string(1, random.name())
    let rank = random.int(-1...4)
    let kind = random.int(0...5)
    let elementType = random.int(0...23)
    var shape = ProtoWriter()
    for _ in 0..<max(rank, 0) {
      let size = random.int(-1...5000)
      let name = random.name()
      let form = random.int(0...3)
      shape.message(1) { dimension in
        if form & 1 == 1 { dimension.int(1, size) }
        if form & 2 == 2 { dimension.string(2, name) }
        dimension.string(3, "DATA_CHANNEL")
      }
    }
    if kind > 0 {
      inner.message(2) { type in
        type.message(1) { tensor in
          tensor.int(1, elementType)
          if rank >= 0 { tensor.data(2, shape.bytes) }
        }
        // A sequence takes the tensor's place.
        if kind == 1 { type.message(4) { _ in } }
        // A second part is merged.
        if kind == 2 { type.message(1) { $0.message(2) { $0.message(1) { $0.int(1, 7) } } } }
      }
    }
    writer.data(field, inner.bytes)
  }

  private mutating func tensor(_ writer: inout ProtoWriter, _ field: Int) {
    let shape = (0..<random.int(0...3)).map { _ in random.int(random.int(0...6) == 0 ? 0...0 : 1...5) }
    let count = shape.reduce(1, *)
    let type = ElementType.allCases.randomElement(using: &random) ?? .float32
    var inner = ProtoWriter()
    inner.ints(1, shape, packed: random.bool())
    inner.string(8, random.name())
    let packed = random.bool()
    switch random.int(0...(allowsExternal ? 3 : 2)) {
    case 0:
      inner.int(2, [8, 14, 17, 22, 99].randomElement(using: &random) ?? 8)
      inner.data(9, random.bytes(random.int(0...9)))
    case 1:
      inner.int(2, Int(type.rawValue))
      list(&inner, type, count, packed: packed)
    case 2:
      inner.int(2, Int(type.rawValue))
      inner.data(9, random.bytes(count * type.byteWidth))
    default:
      inner.int(2, Int(type.rawValue))
      external(&inner, count * type.byteWidth)
    }
    inner.string(12, "documentation")
    writer.data(field, inner.bytes)
  }

  private mutating func list(_ writer: inout ProtoWriter, _ type: ElementType, _ count: Int, packed: Bool) {
    func integers<Element: FixedWidthInteger>(_: Element.Type) -> [Int] {
      var random = self.random
      return (0..<count).map { _ in Int(truncatingIfNeeded: Element(truncatingIfNeeded: random.next())) }
    }
    switch type {
    case .float32: writer.floats(4, (0..<count).map { Float($0) * 0.37 - 1 }, packed: packed)
    case .float64: writer.doubles(10, (0..<count).map { Double($0) * 0.37 - 1 }, packed: packed)
    case .int8: writer.ints(5, integers(Int8.self), packed: packed)
    case .uint8: writer.ints(5, integers(UInt8.self), packed: packed)
    case .int16: writer.ints(5, integers(Int16.self), packed: packed)
    case .uint16, .float16, .bfloat16: writer.ints(5, integers(UInt16.self), packed: packed)
    case .int32: writer.ints(5, integers(Int32.self), packed: packed)
    case .bool: writer.ints(5, integers(UInt8.self).map { $0 & 1 }, packed: packed)
    case .int64: writer.ints(7, integers(Int64.self), packed: packed)
    case .uint32: writer.ints(11, integers(UInt32.self), packed: packed)
    case .uint64: writer.ints(11, integers(UInt64.self), packed: packed)
    }
    _ = random.next()
  }

  private mutating func external(_ writer: inout ProtoWriter, _ byteCount: Int) {
    let name = ["weights.bin", "sub/more.bin"][random.int(0...1)]
    let gap = random.int(0...70)
    var file = externalFiles[name] ?? []
    file += random.bytes(gap)
    writer.entry(13, "location", name)
    if !file.isEmpty || random.bool() { writer.entry(13, "offset", "\(file.count)") }
    if random.bool() { writer.entry(13, "length", "\(byteCount)") }
    writer.int(14, 1)
    externalFiles[name] = file + random.bytes(byteCount)
  }
}
