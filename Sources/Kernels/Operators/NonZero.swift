import Tensor

extension Operator {
  /// Coordinates of the elements that are not 0, [rank, count]; their number must be known when planning.
  static let nonZero = Operator(
    "NonZero", versions: 9...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      guard let constant = input.constant else {
        throw MueError(.unsupported, "the number of non-zero elements depends on data")
      }
      let count = (0..<constant.count).lazy.filter { isNonZero(constant.pointer, $0, constant.type) }.count
      return [TensorInfo(.int64, [max(input.shape.count, 1), count])]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let shape = input.shape.isEmpty ? [1] : input.shape
      let strides = Shape.strides(shape)
      let (total, found) = (input.count, output.shape[1])
      return { () throws(MueError) in
        var column = 0
        for index in 0..<total where column < found && isNonZero(input.pointer, index, input.type) {
          for axis in shape.indices {
            let coordinate = Int64(index / strides[axis] % shape[axis])
            output.pointer.storeBytes(of: coordinate, toByteOffset: (axis &* found &+ column) &* 8, as: Int64.self)
          }
          column += 1
        }
      }
    })

  /// Whether an element is not zero: any bit of an integer, any but the sign of a float.
  private static func isNonZero(_ pointer: UnsafeMutableRawPointer, _ index: Int, _ type: ElementType) -> Bool {
    let isFloat = type.isFloatingPoint
    let at = pointer + index &* type.byteWidth
    switch type.byteWidth {
    case 1: return at.load(as: UInt8.self) != 0
    case 2: return at.loadUnaligned(as: UInt16.self) & (isFloat ? 0x7fff : 0xffff) != 0
    case 4: return at.loadUnaligned(as: UInt32.self) & (isFloat ? 0x7fff_ffff : 0xffff_ffff) != 0
    default: return at.loadUnaligned(as: UInt64.self) & (isFloat ? UInt64.max >> 1 : .max) != 0
    }
  }
}
