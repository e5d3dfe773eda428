import Tensor

extension Operator {
  static let tile = Operator(
    "Tile", versions: 6...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let repeats = try node.clampedIntegers(1)
      guard repeats.count == input.shape.count else {
        throw MueError(.invalidModel, "\(repeats.count) repeats for rank \(input.shape.count)")
      }
      var shape: [Int] = []
      for axis in repeats.indices { shape.append(try Shape.elementCount([input.shape[axis], repeats[axis]])) }
      return [TensorInfo(input.type, shape)]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let width = input.type.byteWidth
      // Every axis becomes two: the repeat (stride 0 in the source) and the position within the input.
      let (from, to) = (
        StridedLoop.byteStrides(input.shape, width: width), StridedLoop.byteStrides(output.shape, width: width)
      )
      var (shape, source, target): ([Int], [Int], [Int]) = ([], [], [])
      for axis in input.shape.indices {
        let extent = input.shape[axis]
        shape += [extent == 0 ? 0 : output.shape[axis] / extent, extent]
        source += [0, from[axis]]
        target += [to[axis] &* extent, to[axis]]
      }
      let copy = StridedCopy(shape, target: target, source: source, width: width, pool: call.context.pool)
      return { () throws(MueError) in try copy.run(from: input.pointer, to: output.pointer) }
    })
}
