import Tensor

/// Gathers the fields of a `TensorProto`. Data is only located and counted here, so that nothing is allocated for
/// elements before their number is known to match the shape.
struct TensorFields {
  private var name = ""
  private var dimensions: [Int] = []
  private var dataType: Int32 = 0
  private var isExternal = false
  private var isSegment = false
  private var externalData: [(key: String, value: String)] = []
  private var rawData: Range<Int>?
  /// Elements in each of the lists of typed values.
  private var listCounts: [TensorList: Int] = [:]
  /// The messages that hold those lists.
  private var listMessages: [WireReader] = []

  mutating func merge(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var reader = message
    var hasList = false
    while try reader.next() {
      switch reader.number {
      case 1: try within("dims", dimensions.count) { () throws(MueError) in try mergeDimensions(&reader) }
      case 2: dataType = try within("data_type") { () throws(MueError) in try reader.int32() }
      case 3:
        _ = try within("segment") { () throws(MueError) in try reader.message() }
        isSegment = true
      case 6: try reader.skip()  // string_data
      case 8: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 9:
        let raw = try within("raw_data") { () throws(MueError) in try reader.message() }
        rawData = raw.position..<raw.end
      case 13:
        let entry = try within("external_data", externalData.count) { () throws(MueError) in
          try decoder.entry(reader.message())
        }
        externalData.append(entry)
      case 14:
        try within("data_location") { () throws(MueError) in
          let location = try reader.int()
          guard location == 0 || location == 1 else { throw reader.invalid("data location \(location)") }
          isExternal = location == 1
        }
      default:
        guard let list = TensorList(rawValue: reader.number) else {
          try reader.skip()
          continue
        }
        let count = try within(list.name) { () throws(MueError) in try reader.countElements(list.wireType) }
        // Neither sum can overflow: every element takes at least a byte of the file.
        listCounts[list, default: 0] += count
        hasList = true
      }
    }
    if hasList { listMessages.append(message) }
  }

  private mutating func mergeDimensions(_ reader: inout WireReader) throws(MueError) {
    let offset = reader.fieldOffset
    try reader.forEachInt { (dimension) throws(MueError) in
      guard dimensions.count < ONNXLimits.maximumRank else {
        throw MueError(
          .limitExceeded, "more than \(ONNXLimits.maximumRank) dimensions", at: .init(byteOffset: offset))
      }
      guard dimension >= 0 else {
        throw MueError(.invalidModel, "negative dimension \(dimension)", at: .init(byteOffset: offset))
      }
      dimensions.append(dimension)
    }
  }

  /// The tensor, once all its fields are there.
  ///
  /// - Parameter offset: where its message begins, for errors.
  func tensor(at offset: Int, _ decoder: ModelDecoder) throws(MueError) -> ONNXTensor {
    try decoder.countTensor(at: offset)
    let count = try elementCount(at: offset, decoder.limits)
    guard dataType != 0 else { throw error(.invalidModel, "has no element type", offset, "data_type") }
    guard let type = ElementType(rawValue: dataType) else {
      let name = Self.namesOfOtherTypes[dataType] ?? "number \(dataType)"
      return unusable("has element type \(name), which is not supported", offset)
    }
    guard !isSegment else { return unusable("is one segment of a larger tensor, which is not supported", offset) }
    // Both are checked: at most 2^41 elements of 8 bytes.
    let byteCount = count * type.byteWidth

    let listedCount = listCounts.values.reduce(0, +)
    if isExternal {
      guard listedCount == 0, rawData?.isEmpty != false else {
        throw error(.invalidModel, "has its data both here and in another file", offset, "data_location")
      }
      let location = try ExternalLocation(entries: externalData, byteCount: byteCount, offset: offset, name: name)
      let file = try within("external_data") { () throws(MueError) in
        try externalFile(location, offset, decoder)
      }
      return try view(type, of: file, at: location.offset, isExternal: true, byteRange: nil, offset)
    }
    if listedCount > 0 {
      guard rawData?.isEmpty != false else {
        throw error(.invalidModel, "has both raw_data and a list of values", offset, "raw_data")
      }
      let list = TensorList(holding: type)
      guard let ownCount = listCounts[list], ownCount == count, ownCount == listedCount else {
        let found = listCounts.filter { $0.value > 0 }.map { "\($0.value) in \($0.key.name)" }.sorted()
        throw error(
          .invalidModel,
          "of shape \(dimensions) needs \(count) elements in \(list.name), but has \(found.joined(separator: ", "))",
          offset, "\(list.name)")
      }
      return ONNXTensor(name: name, tensor: try copy(type, list))
    }
    guard let rawData else {
      guard count == 0 else { throw error(.invalidModel, "of shape \(dimensions) has no data", offset, nil) }
      return try view(type, of: decoder.bytes, at: offset, isExternal: false, byteRange: nil, offset)
    }
    guard rawData.count == byteCount else {
      throw error(
        .invalidModel,
        "of type \(type.name) and shape \(dimensions) needs \(byteCount) bytes, but has \(rawData.count)",
        rawData.lowerBound, "raw_data")
    }
    return try view(
      type, of: decoder.bytes, at: rawData.lowerBound, isExternal: false, byteRange: rawData, offset)
  }

  private func elementCount(at offset: Int, _ limits: ONNXLimits) throws(MueError) -> Int {
    let count: Int
    do {
      count = try Shape.elementCount(dimensions)
    } catch {
      throw self.error(
        error.code == .limitExceeded ? .limitExceeded : .invalidModel,
        "of shape \(dimensions): \(error.message)", offset, "dims")
    }
    guard count <= limits.tensorElements else {
      throw error(
        .limitExceeded, "of shape \(dimensions) has \(count) elements; the limit is \(limits.tensorElements)",
        offset, "dims")
    }
    return count
  }

  private func externalFile(
    _ location: ExternalLocation, _ offset: Int, _ decoder: ModelDecoder
  ) throws(MueError) -> Buffer {
    guard decoder.externalFiles != nil else {
      throw error(.unsupported, "lies in another file, and no folder for external data was given", offset, nil)
    }
    let file: Buffer?
    do {
      file = try decoder.externalFiles?.file(at: location.path)
    } catch {
      throw self.error(error.code, "cannot be read: \(error.message)", offset, nil)
    }
    // Subtracted rather than added: offset and length come from the file.
    guard let file, location.offset <= file.byteCount, location.byteCount <= file.byteCount - location.offset else {
      throw error(
        .invalidModel,
        "needs \(location.byteCount) bytes at \(location.offset) of external data '\(location.path)', which has"
          + " \(file?.byteCount ?? 0) bytes", offset, nil)
    }
    return file
  }

  private func view(
    _ type: ElementType, of buffer: Buffer, at byteOffset: Int, isExternal: Bool, byteRange: Range<Int>?,
    _ offset: Int
  ) throws(MueError) -> ONNXTensor {
    let tensor: Tensor
    do {
      tensor = try Tensor(type, dimensions, buffer: buffer, byteOffset: byteOffset)
    } catch {
      throw self.error(.invalidModel, error.message, offset, nil)
    }
    return ONNXTensor(name: name, tensor: tensor, isExternal: isExternal, byteRange: byteRange)
  }

  /// The elements of `list`, in memory of their own; their number is known to match.
  private func copy(_ type: ElementType, _ list: TensorList) throws(MueError) -> Tensor {
    let tensor = try Tensor(type, dimensions)
    var writer = ElementWriter(tensor)
    for message in listMessages {
      var reader = message
      while try reader.next() {
        guard reader.number == list.rawValue else {
          try reader.skip()
          continue
        }
        try within(list.name) { () throws(MueError) in try writer.append(&reader) }
      }
    }
    return tensor
  }

  private func unusable(_ message: String, _ offset: Int) -> ONNXTensor {
    ONNXTensor(
      name: name, shape: dimensions, dataType: dataType, isExternal: isExternal, byteRange: rawData,
      error: error(.unsupported, message, offset, nil))
  }

  private func error(_ code: MueError.Code, _ message: String, _ offset: Int, _ field: String?) -> MueError {
    MueError(
      code, name.isEmpty ? "a tensor without a name \(message)" : "tensor '\(name)' \(message)",
      at: .init(byteOffset: offset, field: field))
  }

  private static let namesOfOtherTypes: [Int32: String] = [
    8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2",
    20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
  ]
}
