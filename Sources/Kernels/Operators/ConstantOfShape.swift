import Tensor

extension Operator {
  static let constantOfShape = Operator(
    "ConstantOfShape", versions: 9...28,
    infer: { node throws(MueError) in
      let value = try node.attributes.tensor("value")
      guard (value?.count ?? 1) == 1 else { throw MueError(.invalidModel, "the value is not one element") }
      return [TensorInfo(value?.type ?? .float32, try node.clampedIntegers(0))]
    },
    prepare: { call throws(MueError) in
      let output = try call.output()
      let value: Tensor
      if let given = try call.attributes.tensor("value") {
        value = given
      } else {
        value = try Tensor(.float32, [1], [Float(0)])
      }
      let width = output.type.byteWidth
      let copy = StridedCopy([output.count], target: [width], source: [0], width: width, pool: call.context.pool)
      return { () throws(MueError) in try copy.run(from: value.pointer, to: output.pointer) }
    })
}
