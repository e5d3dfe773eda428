import CKernels
import Tensor

extension Operator {
  /// Matrices [.., queries, keys] in the order in which attention reads its biases: panels of 16 queries side by side,
  /// [.., ceil(queries / 16), keys, 16], zeros behind the last query.
  ///
  /// Float32 elements are biases. Integers are indices into a table of `extent` elements: they are checked, counted from
  /// the end when negative, and become int32.
  static let attentionPanels = Operator(
    "AttentionPanels", domain: "mue",
    infer: { node throws(MueError) in
      let input = try node.input(0)
      try node.require(0, .float32, .int32, .int64)
      guard input.shape.count >= 2, let keys = input.shape.last else {
        throw MueError(.invalidModel, "rank \(input.shape.count) is no matrix")
      }
      let queries = input.shape[input.shape.count - 2]
      let panels = queries / panelWidth + (queries % panelWidth > 0 ? 1 : 0)
      return [
        TensorInfo(
          input.type == .float32 ? .float32 : .int32, input.shape.dropLast(2) + [panels, keys, panelWidth])
      ]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let (queries, keys) = (input.shape[input.shape.count - 2], input.shape[input.shape.count - 1])
      let count = input.shape.dropLast(2).reduce(1, &*)
      let pool = call.context.pool
      guard output.count > 0 else { return {} }
      if input.type == .float32 {
        return { () throws(MueError) in
          mk_attention_panels(pool, count, queries, keys, input.pointer, output.pointer)
        }
      }
      let extent = try call.attributes.int("extent", default: 0)
      guard extent > 0, extent <= Int32.max else {
        throw MueError(.invalidModel, "a table of \(extent) elements", at: .init(field: "extent"))
      }
      let indices = try IndexReader(input)
      let scratch = call.scratch
      try scratch.reserve(indices.count &* 4)
      return { () throws(MueError) in
        guard let checked = scratch.base?.assumingMemoryBound(to: Int32.self) else {
          throw MueError(.internal, "no working memory")
        }
        for position in 0..<indices.count { checked[position] = Int32(try indices.index(position, below: extent)) }
        mk_attention_panels(pool, count, queries, keys, checked, output.pointer)
      }
    })

  /// Queries of one panel.
  static let panelWidth = 16
}
