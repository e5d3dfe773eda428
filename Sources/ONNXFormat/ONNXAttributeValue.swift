/// The value of an attribute, by the type that the file declares.
public indirect enum ONNXAttributeValue: Sendable {
  case int(Int)
  case float(Float)
  case string(String)
  case tensor(ONNXTensor)
  case graph(ONNXGraph)
  case ints([Int])
  case floats([Float])
  case strings([String])
  case tensors([ONNXTensor])
  case graphs([ONNXGraph])
  /// In a function body: the value that the caller passes under this name (`ref_attr_name`).
  case reference(String)
  /// A kind that is not read, such as `sparse_tensor`; an error only for whoever needs the attribute.
  case unsupported(String)
}
