import Tensor

/// Gathers the fields of an `AttributeProto`.
struct AttributeFields {
  /// `AttributeProto.AttributeType`.
  private enum Kind: Int, CaseIterable {
    case float = 1
    case int = 2
    case string = 3
    case tensor = 4
    case graph = 5
    case floats = 6
    case ints = 7
    case strings = 8
    case tensors = 9
    case graphs = 10
    case sparseTensor = 11
    case sparseTensors = 12
    case type = 13
    case types = 14
  }

  /// Kinds as a set of bits: an attribute is read for every other node, and a `Set` would allocate each time.
  private struct Kinds {
    private var bits: UInt16 = 0

    var isEmpty: Bool { bits == 0 }
    var only: Kind? { bits.nonzeroBitCount == 1 ? Kind(rawValue: bits.trailingZeroBitCount) : nil }
    func contains(_ kind: Kind) -> Bool { bits & 1 << UInt16(kind.rawValue) != 0 }
    mutating func insert(_ kind: Kind) { bits |= 1 << UInt16(kind.rawValue) }
  }

  private let graphDepth: Int
  private(set) var name = ""
  private var declaredKind: Int?
  /// Kinds whose fields the message holds.
  private var presentKinds = Kinds()
  private var int = 0
  private var float: Float = 0
  private var string: WireReader?
  private var tensor: TensorFields?
  private var graph: GraphFields?
  private var ints: [Int] = []
  private var floats: [Float] = []
  private var strings: [WireReader] = []
  private var tensors: [ONNXTensor] = []
  private var graphs: [ONNXGraph] = []
  private var reference = ""

  init(graphDepth: Int) {
    self.graphDepth = graphDepth
  }

  mutating func merge(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 20: declaredKind = try within("type") { () throws(MueError) in try reader.int() }
      case 21: reference = try within("ref_attr_name") { () throws(MueError) in try decoder.string(&reader) }
      case 13: try reader.skip()
      default: try mergeValue(&reader, decoder)
      }
    }
  }

  private mutating func mergeValue(_ reader: inout WireReader, _ decoder: ModelDecoder) throws(MueError) {
    switch reader.number {
    case 2:
      float = try within("f") { () throws(MueError) in try reader.float() }
      presentKinds.insert(.float)
    case 3:
      int = try within("i") { () throws(MueError) in try reader.int() }
      presentKinds.insert(.int)
    case 4:
      string = try within("s") { () throws(MueError) in try reader.message() }
      presentKinds.insert(.string)
    case 5:
      try within("t") { () throws(MueError) in
        var fields = tensor ?? TensorFields()
        try fields.merge(reader.message(), decoder)
        tensor = fields
      }
      presentKinds.insert(.tensor)
    case 6:
      try within("g") { () throws(MueError) in
        var fields = graph ?? GraphFields(depth: graphDepth + 1)
        graph = nil
        try fields.merge(reader.message(), decoder)
        graph = fields
      }
      presentKinds.insert(.graph)
    case 7:
      try within("floats", floats.count) { () throws(MueError) in
        try reader.forEachFixed32 { (bits) throws(MueError) in floats.append(Float(bitPattern: bits)) }
      }
      if !floats.isEmpty { presentKinds.insert(.floats) }
    case 8:
      try within("ints", ints.count) { () throws(MueError) in
        try reader.forEachInt { (value) throws(MueError) in ints.append(value) }
      }
      if !ints.isEmpty { presentKinds.insert(.ints) }
    case 9:
      try within("strings", strings.count) { () throws(MueError) in try decoder.countEntry(at: reader.fieldOffset) }
      strings.append(try within("strings", strings.count) { () throws(MueError) in try reader.message() })
      presentKinds.insert(.strings)
    case 10:
      let element = try within("tensors", tensors.count) { () throws(MueError) in
        try ONNXTensor(message: reader.message(), decoder)
      }
      tensors.append(element)
      presentKinds.insert(.tensors)
    case 11:
      try within("graphs", graphs.count) { () throws(MueError) in
        var fields = GraphFields(depth: graphDepth + 1)
        try fields.merge(reader.message(), decoder)
        graphs.append(fields.graph())
      }
      presentKinds.insert(.graphs)
    default:
      switch reader.number {
      case 14: presentKinds.insert(.type)
      case 15: presentKinds.insert(.types)
      case 22: presentKinds.insert(.sparseTensor)
      case 23: presentKinds.insert(.sparseTensors)
      default: break
      }
      try reader.skip()
    }
  }

  /// The value of the declared kind, or of the one kind that is there when none is declared (IR version 1).
  func value(at offset: Int, _ decoder: ModelDecoder) throws(MueError) -> ONNXAttributeValue {
    func invalid(_ message: String, _ field: String) -> MueError {
      MueError(.invalidModel, message, at: .init(byteOffset: offset, field: field))
    }
    guard !name.isEmpty else { throw invalid("the attribute has no name", "name") }
    if !reference.isEmpty { return .reference(reference) }
    let kind: Kind
    if let declaredKind, declaredKind != 0 {
      guard let declared = Kind(rawValue: declaredKind) else { return .unsupported("type \(declaredKind)") }
      // Zero and empty values may have been left out by the writer, so nothing at all is fine.
      guard presentKinds.isEmpty || presentKinds.contains(declared) else {
        throw invalid("attribute '\(name)' declares another type than it holds", "type")
      }
      kind = declared
    } else {
      guard let only = presentKinds.only else {
        throw invalid("attribute '\(name)' has no type", "type")
      }
      kind = only
    }
    return try value(of: kind, at: offset, decoder)
  }

  private func value(of kind: Kind, at offset: Int, _ decoder: ModelDecoder) throws(MueError) -> ONNXAttributeValue {
    switch kind {
    case .float: return .float(float)
    case .int: return .int(int)
    case .string:
      return try within("s") { () throws(MueError) in
        guard let string else { return .string("") }
        return try string.text(limit: decoder.limits.stringBytes).map { .string($0) } ?? .unsupported("bytes")
      }
    case .strings:
      var texts: [String] = []
      texts.reserveCapacity(strings.count)
      for string in strings {
        let text = try within("strings", texts.count) { () throws(MueError) in
          try string.text(limit: decoder.limits.stringBytes)
        }
        guard let text else { return .unsupported("list of bytes") }
        texts.append(text)
      }
      return .strings(texts)
    case .tensor:
      guard let tensor else {
        throw MueError(
          .invalidModel, "attribute '\(name)' holds no tensor", at: .init(byteOffset: offset, field: "t"))
      }
      return .tensor(try within("t") { () throws(MueError) in try tensor.tensor(at: offset, decoder) })
    case .graph:
      guard let graph else {
        throw MueError(.invalidModel, "attribute '\(name)' holds no graph", at: .init(byteOffset: offset, field: "g"))
      }
      return .graph(graph.graph())
    case .ints: return .ints(ints)
    case .floats: return .floats(floats)
    case .tensors: return .tensors(tensors)
    case .graphs: return .graphs(graphs)
    case .sparseTensor: return .unsupported("sparse tensor")
    case .sparseTensors: return .unsupported("list of sparse tensors")
    case .type: return .unsupported("type")
    case .types: return .unsupported("list of types")
    }
  }
}
