import Tensor

extension Call {
  /// The same call with every constant on an address that suits its element type.
  ///
  /// Constants may lie unaligned in a mapped model file; they are copied once per model, as packed weights are.
  ///
  /// - Parameter except: an input that stays where it is.
  func aligned(except packed: Int? = nil) throws(MueError) -> Call {
    var operands = inputs
    var copied = false
    for index in operands.indices where index != packed {
      guard let operand = operands[index], let constant = operand.constant,
        Int(bitPattern: operand.pointer) % operand.type.byteWidth != 0
      else { continue }
      let buffer = try weights.packed(
        .init("aligned.\(constant.byteCount)", constant), of: constant, byteCount: constant.byteCount,
        isKept: false
      ) { target in
        target.copyMemory(from: constant.pointer, byteCount: constant.byteCount)
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
