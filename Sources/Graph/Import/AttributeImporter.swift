import Kernels
import ONNXFormat
import Tensor

/// Turns ONNX attributes into the operators' attribute values.
enum AttributeImporter {
  static func attributes(
    of node: ONNXNode, references: [String: AttributeValue]
  ) throws(MueError) -> Attributes {
    var values: [String: AttributeValue] = [:]
    for attribute in node.attributes {
      // A reference to an attribute that the caller of the function did not give leaves it unset.
      if let value = try value(of: attribute, references: references) { values[attribute.name] = value }
    }
    return Attributes(values)
  }

  static func value(
    of attribute: ONNXAttribute, references: [String: AttributeValue]
  ) throws(MueError) -> AttributeValue? {
    switch attribute.value {
    case .int(let value): return .int(value)
    case .float(let value): return .float(value)
    case .string(let value): return .string(value)
    case .tensor(let value): return .tensor(try value.tensor)
    case .ints(let value): return .ints(value)
    case .floats(let value): return .floats(value)
    case .strings(let value): return .strings(value)
    case .reference(let name): return references[name]
    case .graph, .graphs:
      throw MueError(.unsupported, "attribute '\(attribute.name)' holds a subgraph", at: .init(field: attribute.name))
    case .tensors:
      throw MueError(
        .unsupported, "attribute '\(attribute.name)' is a list of tensors", at: .init(field: attribute.name))
    case .unsupported(let kind):
      throw MueError(.unsupported, "attribute '\(attribute.name)' is of kind \(kind)", at: .init(field: attribute.name))
    }
  }

  /// The tensor that a `Constant` node stands for; nil for the string forms, which no operator here reads.
  static func constant(_ attributes: Attributes) throws(MueError) -> Tensor? {
    if let tensor = try attributes.tensor("value") { return tensor }
    if let value = try attributes.int("value_int") { return try Tensor(.int64, [], [Int64(value)]) }
    if let values = try attributes.ints("value_ints") {
      return try Tensor(.int64, [values.count], values.map { Int64($0) })
    }
    if let value = try attributes.float("value_float") { return try Tensor(.float32, [], [value]) }
    if let values = try attributes.floats("value_floats") { return try Tensor(.float32, [values.count], values) }
    return nil
  }
}
