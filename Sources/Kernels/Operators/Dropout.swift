import Tensor

extension Operator {
  /// Inference passes its input on; the mask is all true. Training mode is refused.
  static let dropout: [Operator] = [
    Operator(
      "Dropout", versions: 7...28, isView: true,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        if node.opset >= 12, let training = node.optional(2) {
          guard let constant = training.constant, try constant.integers().allSatisfy({ $0 == 0 }) else {
            throw MueError(.unsupported, "dropout in training mode")
          }
        }
        let output = TensorInfo(input.type, input.shape, constant: input.constant)
        guard node.outputCount > 1 else { return [output] }
        // A constant, because a planner that shares the memory of a view runs nothing that could write it.
        guard try Shape.elementCount(input.shape) <= 1 << 26 else {
          throw MueError(.limitExceeded, "a mask of shape \(input.shape)")
        }
        let mask = try Tensor(.bool, input.shape)
        mask.pointer.initializeMemory(as: UInt8.self, repeating: 1, count: mask.count)
        return [output, TensorInfo(mask)]
      },
      prepare: { call throws(MueError) in
        let copy = try copyStep(call)
        guard call.outputs.count > 1 else { return copy }
        let mask = call.outputs[1]
        let count = mask.count
        return { () throws(MueError) in
          try copy()
          mask.pointer.initializeMemory(as: UInt8.self, repeating: 1, count: count)
        }
      })
  ]
}
