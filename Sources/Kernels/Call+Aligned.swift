import Tensor

extension Call {
  /// The same call with every constant on an address that suits its element type.
  ///
  /// Constants may lie unaligned in a mapped model file; they are copied once per model, as packed weights are.
  func aligned() throws(MueError) -> Call {
    var operands = inputs
    var copied = false
    for index in operands.indices {
      guard let operand = operands[index], let constant = operand.constant,
        Int(bitPattern: operand.pointer) % operand.type.byteWidth != 0
      else { continue }
      let buffer = try weights.packed(.init("aligned.\(constant.byteCount)", constant), of: constant) {
        () throws(MueError) in
        let buffer = try Buffer(byteCount: constant.byteCount)
        buffer.base.copyMemory(from: constant.pointer, byteCount: constant.byteCount)
        return buffer
      }
      let tensor = try Tensor(constant.type, constant.shape, buffer: buffer)
      operands[index] = Operand(operand.type, operand.shape, buffer.base, constant: tensor)
      copied = true
    }
    guard copied else { return self }
    return Call(
      inputs: operands, outputs: outputs, attributes: attributes, opset: opset, context: context, scratch: scratch,
      weights: weights)
  }
}
