import Tensor

extension Operator {
  static let expand = Operator(
    "Expand", versions: 8...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let target = try node.clampedIntegers(1)
      _ = try Shape.elementCount(target)
      return [TensorInfo(input.type, try Shape.broadcast(input.shape, target))]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let width = input.type.byteWidth
      let copy = StridedCopy(
        output.shape, target: StridedLoop.byteStrides(output.shape, width: width),
        source: StridedLoop.broadcastStrides(input.shape, to: output.shape, width: width), width: width,
        pool: call.context.pool)
      return { () throws(MueError) in try copy.run(from: input.pointer, to: output.pointer) }
    })
}
