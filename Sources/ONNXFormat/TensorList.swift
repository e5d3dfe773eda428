import Tensor

/// The repeated fields of a `TensorProto` that hold elements as numbers; raw values are the field numbers.
enum TensorList: Int {
  case float = 4
  case int32 = 5
  case int64 = 7
  case double = 10
  case uint64 = 11

  /// The list that ONNX prescribes for elements of `type`.
  init(holding type: ElementType) {
    switch type {
    case .float32: self = .float
    case .uint8, .int8, .uint16, .int16, .int32, .bool, .float16, .bfloat16: self = .int32
    case .int64: self = .int64
    case .float64: self = .double
    case .uint32, .uint64: self = .uint64
    }
  }

  var name: StaticString {
    switch self {
    case .float: "float_data"
    case .int32: "int32_data"
    case .int64: "int64_data"
    case .double: "double_data"
    case .uint64: "uint64_data"
    }
  }

  var wireType: WireReader.WireType {
    switch self {
    case .float: .fixed32
    case .double: .fixed64
    case .int32, .int64, .uint64: .varint
    }
  }
}
