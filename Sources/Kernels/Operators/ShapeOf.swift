import Tensor

/// Shape and Size: constants once the input's shape is known.
extension Operator {
  static let shapeOf: [Operator] = [
    Operator(
      "Shape",
      infer: { node throws(MueError) in
        let shape = try node.input(0).shape
        let rank = shape.count
        let start = try node.attributes.int("start", default: 0).clamped
        let end = try node.attributes.int("end", default: rank).clamped
        let from = min(max(start < 0 ? start + rank : start, 0), rank)
        let to = min(max(end < 0 ? end + rank : end, 0), rank)
        let dimensions = from < to ? shape[from..<to].map { Int64($0) } : []
        return [TensorInfo(try Tensor(.int64, [dimensions.count], dimensions))]
      },
      prepare: { call throws(MueError) in try inferredStep(call, of: "Shape") }),
    Operator(
      "Size",
      infer: { node throws(MueError) in
        let count = try Shape.elementCount(node.input(0).shape)
        return [TensorInfo(try Tensor(.int64, [], [Int64(count)]))]
      },
      prepare: { call throws(MueError) in try inferredStep(call, of: "Size") }),
  ]

  /// A step that writes the constant that inference finds for the same node.
  static func inferredStep(_ call: Call, of name: String) throws(MueError) -> Step {
    let output = try call.output()
    guard let op = OperatorTable.find(name: name, domain: "", opset: call.opset),
      let constant = try op.infer(call.inference).first?.constant,
      constant.byteCount <= output.count &* output.type.byteWidth
    else { throw MueError(.internal, "the value of \(name) is not known") }
    return { () throws(MueError) in output.pointer.copyMemory(from: constant.pointer, byteCount: constant.byteCount) }
  }
}
