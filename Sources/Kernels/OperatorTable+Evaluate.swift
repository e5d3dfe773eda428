import Tensor

extension OperatorTable {
  /// Runs one operator on tensors: what constant folding and tests need.
  ///
  /// Nothing that is packed for the call outlives it.
  ///
  /// - Parameter spare: the memory of an input of as many bytes as output 0, which may be overwritten.
  public static func evaluate(
    _ op: Operator, inputs: [Tensor?], attributes: Attributes = .init(), opset: Int, outputCount: Int = 1,
    context: ComputeContext, spare: Buffer? = nil
  ) throws(MueError) -> [Tensor] {
    let infos = inputs.map { $0.map { TensorInfo($0) } }
    let inferred = try op.infer(
      Inference(inputs: infos, attributes: attributes, opset: opset, outputCount: outputCount))
    if op.isView, let source = inputs.first, let source, let target = inferred.first, inferred.count == 1 {
      return [try source.reshaped(target.shape)]
    }
    var outputs: [Tensor] = []
    for (index, info) in inferred.enumerated() {
      if index == 0, op.mayOverwrite, let spare, try spare.byteCount == Shape.byteCount(info.shape, info.type) {
        outputs.append(try Tensor(info.type, info.shape, buffer: spare))
      } else {
        outputs.append(try Tensor(info.type, info.shape))
      }
    }
    let weights = PackedWeights()
    let step = try op.prepare(
      Call(
        inputs: inputs.map { $0.map { Operand($0.type, $0.shape, $0.pointer, constant: $0) } },
        outputs: outputs.map { Operand($0.type, $0.shape, $0.pointer) },
        attributes: attributes, opset: opset, context: context, scratch: Scratch(), weights: weights))
    try step()
    withExtendedLifetime((weights, inputs)) {}
    return outputs
  }
}
