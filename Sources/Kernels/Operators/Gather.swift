import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Operator {
  /// Slices of the input along an axis, chosen by indices; embedding tables are the usual case.
  static let gather = Operator(
    "Gather",
    infer: { node throws(MueError) in
      let (data, indices) = (try node.input(0), try node.input(1))
      try node.require(1, .int64, .int32)
      let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: 0), rank: data.shape.count)
      return [TensorInfo(data.type, data.shape[..<axis] + indices.shape + data.shape[(axis + 1)...])]
    },
    prepare: { call throws(MueError) in
      let (data, output) = (try call.input(0), try call.output())
      let indices = try IndexReader(call.input(1))
      let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: 0), rank: data.shape.count)
      let outer = data.shape[..<axis].reduce(1, &*)
      let extent = data.shape[axis]
      let rowBytes = data.shape[(axis + 1)...].reduce(data.type.byteWidth, &*)
      if try call.input(1).type == .int64, rowBytes > 0 {
        let pointer = try call.input(1).pointer.assumingMemoryBound(to: Int64.self)
        let pool = call.context.pool
        return { () throws(MueError) in
          let bad = mk_gather_rows(
            pool, outer, data.pointer, extent, rowBytes, pointer, indices.count, output.pointer)
          if bad > 0 { throw IndexReader.outside(indices.value(bad - 1), extent) }
        }
      }
      return { () throws(MueError) in
        var to = output.pointer
        for block in 0..<outer {
          let from = data.pointer + block &* extent &* rowBytes
          for position in 0..<indices.count {
            let index = try indices.index(position, below: extent)
            memcpy(to, from + index &* rowBytes, rowBytes)
            to += rowBytes
          }
        }
      }
    })
}
