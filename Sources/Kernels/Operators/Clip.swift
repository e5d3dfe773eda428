import CKernels
import Tensor

/// Limits given as inputs (opset 11) or attributes (before).
private struct ClipVisitor: NumericVisitor {
  let input: Operand
  let low: Operand?
  let high: Operand?
  let output: Operand

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (count, source, target) = (output.count, input.pointer, output.pointer)
    let (lowest, highest) = (low?.pointer, high?.pointer)
    return { () throws(MueError) in
      let low = lowest?.load(as: Element.self)
      let high = highest?.load(as: Element.self)
      for index in 0..<count {
        let offset = index &* MemoryLayout<Element>.stride
        var value = source.load(fromByteOffset: offset, as: Element.self)
        if let low, value < low { value = low }
        if let high, value > high { value = high }
        target.storeBytes(of: value, toByteOffset: offset, as: Element.self)
      }
    }
  }
}

extension Operator {
  static let clip: [Operator] = [
    Operator(
      "Clip", versions: 11...28,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        for limit in [node.optional(1), node.optional(2)] {
          guard let limit else { continue }
          guard limit.type == input.type, try Shape.elementCount(limit.shape) == 1 else {
            throw MueError(.invalidModel, "a limit must be one \(input.type.name) element")
          }
        }
        return [TensorInfo(input.type, input.shape)]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let (low, high) = (call.optional(1), call.optional(2))
        if output.type == .float32 {
          let (pool, count, source, target) = (call.context.pool, output.count, input.floats, output.mutableFloats)
          return { () throws(MueError) in
            mk_unary_param(
              pool, MK_CLIP, count, source, low?.floats.pointee ?? -.infinity, high?.floats.pointee ?? .infinity, target
            )
          }
        }
        return try output.type.visit(ClipVisitor(input: input, low: low, high: high, output: output))
      }),
    Operator(
      "Clip", versions: 6...10,
      infer: { node throws(MueError) in
        try node.require(0, .float32)
        return [TensorInfo(.float32, try node.input(0).shape)]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let low = try call.attributes.float("min", default: -.infinity)
        let high = try call.attributes.float("max", default: .infinity)
        let (pool, count, source, target) = (call.context.pool, output.count, input.floats, output.mutableFloats)
        return { () throws(MueError) in mk_unary_param(pool, MK_CLIP, count, source, low, high, target) }
      }),
  ]
}
