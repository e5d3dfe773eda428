import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Softmax and LogSoftmax along an axis; before opset 13 over everything from the axis on.
extension Operator {
  static let softmaxes: [Operator] = [softmax("Softmax", log: false), softmax("LogSoftmax", log: true)]

  private static func softmax(_ name: String, log: Bool) -> Operator {
    Operator(
      name,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        try node.require(0, .float32, .float64, .float16)
        _ = try softmaxAxis(input.shape, node.attributes, node.opset)
        return [TensorInfo(input.type, input.shape)]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let axis = try softmaxAxis(input.shape, call.attributes, call.opset)
        let extent: Int
        let inner: Int
        if call.opset < 13 {
          extent = input.shape[axis...].reduce(1, &*)
          inner = 1
        } else {
          extent = input.shape[axis]
          inner = input.shape[(axis + 1)...].reduce(1, &*)
        }
        guard output.count > 0 else { return {} }
        let outer = output.count / (extent &* inner)
        if inner == 1, input.type == .float32 {
          let pool = call.context.pool
          return { () throws(MueError) in
            mk_softmax(pool, outer, extent, input.floats, log ? 1 : 0, output.mutableFloats)
          }
        }
        return try input.type.visit(
          SoftmaxVisitor(input: input, output: output, outer: outer, extent: extent, inner: inner, isLog: log))
      })
  }

  private static func softmaxAxis(
    _ shape: [Int], _ attributes: Attributes, _ opset: Int
  ) throws(MueError) -> Int {
    try Shape.normalizedAxis(attributes.int("axis", default: opset < 13 ? 1 : -1), rank: shape.count)
  }
}

private struct SoftmaxVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let outer: Int
  let extent: Int
  let inner: Int
  let isLog: Bool

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (source, target) = (input.pointer, output.pointer)
    let width = MemoryLayout<Element>.stride
    return { [outer, extent, inner, isLog] () throws(MueError) in
      for block in 0..<outer {
        for column in 0..<inner {
          let start = (block &* extent &* inner &+ column) &* width
          let step = inner &* width
          var largest = -Double.infinity
          for index in 0..<extent {
            largest = max(largest, source.load(fromByteOffset: start &+ index &* step, as: Element.self).asDouble)
          }
          // A row of -inf gives zeros, as in the C kernel.
          if largest == -.infinity { largest = 0 }
          var sum = 0.0
          for index in 0..<extent {
            sum += exp(source.load(fromByteOffset: start &+ index &* step, as: Element.self).asDouble - largest)
          }
          for index in 0..<extent {
            let offset = start &+ index &* step
            let x = source.load(fromByteOffset: offset, as: Element.self).asDouble - largest
            let value = isLog ? x - log(sum) : sum == 0 ? 0 : exp(x) / sum
            target.storeBytes(of: Element(converting: value), toByteOffset: offset, as: Element.self)
          }
        }
      }
    }
  }
}
