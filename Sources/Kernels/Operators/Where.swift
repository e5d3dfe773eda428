import Tensor

extension Operator {
  /// condition ? x : y, all three broadcast.
  static let select = Operator(
    "Where", versions: 9...25,
    infer: { node throws(MueError) in
      try node.require(0, .bool)
      let (condition, x, y) = (try node.input(0), try node.input(1), try node.input(2))
      guard x.type == y.type else {
        throw MueError(.invalidModel, "the branches have types \(x.type.name) and \(y.type.name)")
      }
      return [TensorInfo(x.type, try Shape.broadcast(Shape.broadcast(condition.shape, x.shape), y.shape))]
    },
    prepare: { call throws(MueError) in
      let output = try call.output()
      switch output.type.byteWidth {
      case 1: return try whereStep(UInt8.self, call)
      case 2: return try whereStep(UInt16.self, call)
      case 4: return try whereStep(UInt32.self, call)
      default: return try whereStep(UInt64.self, call)
      }
    })

  private static func whereStep<Unit: FixedWidthInteger & BitwiseCopyable>(
    _: Unit.Type, _ call: Call
  ) throws(MueError) -> Step {
    let (condition, x, y, output) = (try call.input(0), try call.input(1), try call.input(2), try call.output())
    let loop = StridedLoop.elementwise([condition, x, y], output)
    return { () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<loop.inner.extent {
          let chosen = condition.pointer.load(fromByteOffset: offset[1], as: UInt8.self) != 0
          let value =
            chosen
            ? x.pointer.load(fromByteOffset: offset[2], as: Unit.self)
            : y.pointer.load(fromByteOffset: offset[3], as: Unit.self)
          output.pointer.storeBytes(of: value, toByteOffset: offset[0], as: Unit.self)
          offset = offset &+ loop.inner.strides
        }
      }
    }
  }
}
