import Tensor

/// DepthToSpace and SpaceToDepth: one strided copy over six axes.
extension Operator {
  static let depthSpace: [Operator] = [
    Operator(
      "DepthToSpace", versions: 1...28,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let block = try blockSize(node.attributes)
        guard input.shape.count == 4, input.shape[1] % (block * block) == 0 else {
          throw MueError(.invalidModel, "a block of \(block) does not fit the shape \(input.shape)")
        }
        let s = input.shape
        return [TensorInfo(input.type, [s[0], s[1] / (block * block), s[2] * block, s[3] * block])]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let b = try blockSize(call.attributes)
        let s = input.shape
        let columnRowDepth = try call.attributes.string("mode", default: "DCR") == "CRD"
        let depth = s[1] / (b * b)
        // Axes walked: batch, depth, row, block row, column, block column: the output's order.
        let from =
          columnRowDepth
          ? StridedLoop.byteStrides([s[0], depth, b, b, s[2], s[3]], width: input.type.byteWidth)
          : StridedLoop.byteStrides([s[0], b, b, depth, s[2], s[3]], width: input.type.byteWidth)
        let source =
          columnRowDepth
          ? [from[0], from[1], from[4], from[2], from[5], from[3]]
          : [from[0], from[3], from[4], from[1], from[5], from[2]]
        return try depthSpaceStep([s[0], depth, s[2], b, s[3], b], source, input, output, call)
      }),
    Operator(
      "SpaceToDepth", versions: 1...28,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let block = try blockSize(node.attributes)
        guard input.shape.count == 4, input.shape[2] % block == 0, input.shape[3] % block == 0 else {
          throw MueError(.invalidModel, "a block of \(block) does not fit the shape \(input.shape)")
        }
        let s = input.shape
        let channels = try Shape.elementCount([s[1], block, block])
        return [TensorInfo(input.type, [s[0], channels, s[2] / block, s[3] / block])]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let b = try blockSize(call.attributes)
        let s = input.shape
        let from = StridedLoop.byteStrides([s[0], s[1], s[2] / b, b, s[3] / b, b], width: input.type.byteWidth)
        // Output order: batch, block row, block column, channel, row, column; the channel goes first with CRD.
        if try call.attributes.string("mode", default: "DCR") == "CRD" {
          let source = [from[0], from[1], from[3], from[5], from[2], from[4]]
          return try depthSpaceStep([s[0], s[1], b, b, s[2] / b, s[3] / b], source, input, output, call)
        }
        let source = [from[0], from[3], from[5], from[1], from[2], from[4]]
        return try depthSpaceStep([s[0], b, b, s[1], s[2] / b, s[3] / b], source, input, output, call)
      }),
  ]

  private static func blockSize(_ attributes: Attributes) throws(MueError) -> Int {
    let block = try attributes.int("blocksize", default: 0)
    guard block > 0, block <= 1 << 15 else {
      throw MueError(.invalidModel, "a block of \(block)", at: .init(field: "blocksize"))
    }
    return block
  }

  private static func depthSpaceStep(
    _ shape: [Int], _ source: [Int], _ input: Operand, _ output: Operand, _ call: Call
  ) throws(MueError) -> Step {
    let width = input.type.byteWidth
    let copy = StridedCopy(
      shape, target: StridedLoop.byteStrides(shape, width: width), source: source, width: width,
      pool: call.context.pool)
    return { () throws(MueError) in try copy.run(from: input.pointer, to: output.pointer) }
  }
}
