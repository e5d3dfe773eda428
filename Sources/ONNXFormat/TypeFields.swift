import Tensor

/// Gathers the fields of a `TypeProto`, as far as it describes a tensor.
struct TypeFields {
  private(set) var elementType: ElementType?
  private(set) var shape: [ONNXDimension]?

  mutating func merge(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: try within("tensor_type") { () throws(MueError) in try mergeTensorType(reader.message(), decoder) }
      case 4, 5, 7, 8, 9:
        // A sequence, map, opaque, sparse or optional type takes the place of what came before (a `oneof`).
        _ = try reader.message()
        self = TypeFields()
      default: try reader.skip()
      }
    }
  }

  private mutating func mergeTensorType(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: elementType = ElementType(rawValue: try within("elem_type") { () throws(MueError) in try reader.int32() })
      case 2: try within("shape") { () throws(MueError) in try mergeShape(reader.message(), decoder) }
      default: try reader.skip()
      }
    }
  }

  private mutating func mergeShape(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var dimensions = shape ?? []
    var reader = message
    while try reader.next() {
      guard reader.number == 1 else {
        try reader.skip()
        continue
      }
      guard dimensions.count < ONNXLimits.maximumRank else {
        throw MueError(
          .limitExceeded, "more than \(ONNXLimits.maximumRank) dimensions",
          at: .init(byteOffset: reader.fieldOffset, field: "dim"))
      }
      let dimension = try within("dim", dimensions.count) { () throws(MueError) in
        try ONNXDimension(message: reader.message(), decoder)
      }
      dimensions.append(dimension)
    }
    shape = dimensions
  }
}
