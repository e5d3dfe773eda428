import Tensor

extension Operator {
  static let eyeLike = Operator(
    "EyeLike", versions: 9...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      guard input.shape.count == 2 else { throw MueError(.invalidModel, "rank \(input.shape.count) is not a matrix") }
      guard let to = try node.attributes.int("dtype") else { return [TensorInfo(input.type, input.shape)] }
      guard let raw = Int32(exactly: to), let type = ElementType(rawValue: raw) else {
        throw MueError(.unsupported, "elements of ONNX type \(to)", at: .init(field: "dtype"))
      }
      return [TensorInfo(type, input.shape)]
    },
    prepare: { call throws(MueError) in
      let output = try call.output()
      let (rows, columns) = (output.shape[0], output.shape[1])
      let diagonal = try call.attributes.int("k", default: 0).clamped
      let type: ElementType = output.type == .bool ? .uint8 : output.type
      let one = try type.visit(ScalarMaker(value: 1))
      let width = output.type.byteWidth
      return { () throws(MueError) in
        output.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: rows &* columns &* width)
        for row in 0..<rows {
          let column = row + diagonal
          guard column >= 0, column < columns else { continue }
          (output.pointer + (row &* columns &+ column) &* width).copyMemory(from: one.pointer, byteCount: width)
        }
      }
    })
}
