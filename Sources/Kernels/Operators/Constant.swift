import Tensor

extension Operator {
  /// The tensor of one of the attributes value, value_int(s), value_float(s); strings and sparse tensors are refused.
  static let constant = Operator(
    "Constant",
    infer: { node throws(MueError) in
      let attributes = node.attributes
      if let tensor = try attributes.tensor("value") { return [TensorInfo(tensor)] }
      if let value = try attributes.int("value_int") { return [TensorInfo(try Tensor(.int64, [], [Int64(value)]))] }
      if let values = try attributes.ints("value_ints") {
        return [TensorInfo(try Tensor(.int64, [values.count], values.map { Int64($0) }))]
      }
      if let value = try attributes.float("value_float") { return [TensorInfo(try Tensor(.float32, [], [value]))] }
      if let values = try attributes.floats("value_floats") {
        return [TensorInfo(try Tensor(.float32, [values.count], values))]
      }
      throw MueError(.unsupported, "a constant that is neither a dense tensor nor numbers")
    },
    prepare: { call throws(MueError) in try inferredStep(call, of: "Constant") })
}
