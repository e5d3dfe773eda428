import Tensor

extension Operator {
  /// The upper or lower triangle of each matrix; the rest becomes 0.
  static let trilu = Operator(
    "Trilu", versions: 14...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      guard input.shape.count >= 2 else { throw MueError(.invalidModel, "rank \(input.shape.count) is no matrix") }
      if let k = node.optional(1) {
        try node.require(1, .int64)
        guard try Shape.elementCount(k.shape) == 1 else { throw MueError(.invalidModel, "k is not one number") }
      }
      return [TensorInfo(input.type, input.shape)]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let (rows, columns) = (input.shape[input.shape.count - 2], input.shape[input.shape.count - 1])
      let matrices = input.shape.dropLast(2).reduce(1, &*)
      let keepsUpper = try call.attributes.flag("upper", default: true)
      let width = input.type.byteWidth
      let offset = call.optional(1)?.pointer
      return { () throws(MueError) in
        let k = Int(offset?.load(as: Int64.self) ?? 0).clamped
        for matrix in 0..<matrices {
          for row in 0..<rows {
            let start = (matrix &* rows &+ row) &* columns &* width
            // Columns from..<to of this row are kept.
            let from = keepsUpper ? min(max(row + k, 0), columns) : 0
            let to = keepsUpper ? columns : min(max(row + k + 1, 0), columns)
            let target = output.pointer + start
            target.initializeMemory(as: UInt8.self, repeating: 0, count: columns &* width)
            (target + from &* width).copyMemory(
              from: input.pointer + (start &+ from &* width), byteCount: max(to - from, 0) &* width)
          }
        }
      }
    })
}
