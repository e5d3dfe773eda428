import Tensor

extension Operator {
  static let transpose = Operator(
    "Transpose",
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let order = try permutation(node.attributes, rank: input.shape.count)
      return [TensorInfo(input.type, order.map { input.shape[$0] })]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let order = try permutation(call.attributes, rank: input.shape.count)
      let width = input.type.byteWidth
      let strides = StridedLoop.byteStrides(input.shape, width: width)
      let copy = StridedCopy(
        output.shape, target: StridedLoop.byteStrides(output.shape, width: width), source: order.map { strides[$0] },
        width: width, pool: call.context.pool)
      return { () throws(MueError) in try copy.run(from: input.pointer, to: output.pointer) }
    })

  private static func permutation(_ attributes: Attributes, rank: Int) throws(MueError) -> [Int] {
    guard let given = try attributes.ints("perm") else { return Array((0..<rank).reversed()) }
    guard given.count == rank else {
      throw MueError(.invalidModel, "perm \(given) does not fit rank \(rank)", at: .init(field: "perm"))
    }
    var order: [Int] = []
    for axis in given {
      let axis = try Shape.normalizedAxis(axis, rank: rank)
      guard !order.contains(axis) else {
        throw MueError(.invalidModel, "perm \(given) names an axis twice", at: .init(field: "perm"))
      }
      order.append(axis)
    }
    return order
  }
}
