/// The element types of tensors; raw values are those of ONNX's `TensorProto.DataType`.
public enum ElementType: Int32, Sendable, CaseIterable {
  case float32 = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16

  /// Bytes of one element.
  public var byteWidth: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .float32, .float16, .float64, .bfloat16: true
    default: false
    }
  }

  /// ONNX's name for the type, lower case (`float`, `int64`, ...).
  public var name: String {
    switch self {
    case .float32: "float"
    case .uint8: "uint8"
    case .int8: "int8"
    case .uint16: "uint16"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .bool: "bool"
    case .float16: "float16"
    case .float64: "double"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bfloat16: "bfloat16"
    }
  }
}
