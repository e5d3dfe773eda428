import Tensor

extension Operator {
  /// condition ? x : y, all three broadcast.
  static let select = Operator(
    "Where", versions: 9...28,
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
    let (count, width) = (loop.inner.extent, MemoryLayout<Unit>.stride)
    let strides = loop.inner.strides
    // Typed strides; the condition's is in bytes, as it is.
    let (step, stepX, stepY) = (strides[1], strides[2] / width, strides[3] / width)
    let isPlain = step == 1 && strides[0] == width && (stepX == 0 || stepX == 1) && (stepY == 0 || stepY == 1)
    return { () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        let mask = (condition.pointer + at[1]).assumingMemoryBound(to: UInt8.self)
        let first = (x.pointer + at[2]).assumingMemoryBound(to: Unit.self)
        let second = (y.pointer + at[3]).assumingMemoryBound(to: Unit.self)
        let target = (output.pointer + at[0]).assumingMemoryBound(to: Unit.self)
        if isPlain, stepX == 1, stepY == 0 {
          let other = second.pointee
          for index in 0..<count { target[index] = mask[index] != 0 ? first[index] : other }
        } else if isPlain, stepX == 0, stepY == 1 {
          let chosen = first.pointee
          for index in 0..<count { target[index] = mask[index] != 0 ? chosen : second[index] }
        } else {
          let stepTarget = strides[0] / width
          for index in 0..<count {
            target[index &* stepTarget] =
              mask[index &* step] != 0 ? first[index &* stepX] : second[index &* stepY]
          }
        }
      }
    }
  }
}
