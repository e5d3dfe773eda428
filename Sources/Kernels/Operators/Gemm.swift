import CKernels
import Tensor

extension Operator {
  /// alpha * op(A) op(B) + beta * C on matrices; C broadcasts to the result.
  static let gemm = Operator(
    "Gemm", versions: 7...28,
    infer: { node throws(MueError) in
      let (a, b) = (try node.input(0), try node.input(1))
      guard a.type == b.type, a.shape.count == 2, b.shape.count == 2 else {
        throw MueError(.invalidModel, "\(a.type.name) \(a.shape) and \(b.type.name) \(b.shape) are not two matrices")
      }
      let (m, k) = try node.attributes.flag("transA") ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
      let (depth, n) = try node.attributes.flag("transB") ? (b.shape[1], b.shape[0]) : (b.shape[0], b.shape[1])
      guard k == depth else { throw MueError(.invalidModel, "shapes \(a.shape) and \(b.shape) do not multiply") }
      if let c = node.optional(2) {
        guard c.type == a.type, try Shape.broadcast(c.shape, [m, n]) == [m, n] else {
          throw MueError(.invalidModel, "\(c.type.name) \(c.shape) does not broadcast to \([m, n])")
        }
      }
      return [TensorInfo(a.type, [m, n])]
    },
    multiplyAdds: { inputs, outputs, attributes in
      guard let a = inputs.first ?? nil, let output = outputs.first else { return 0 }
      let isTransposed = ((try? attributes.flag("transA")) ?? false)
      return output.shape.reduce((isTransposed ? a.shape.first : a.shape.last) ?? 0, &*)
    },
    prepare: { call throws(MueError) in
      let (a, b, c, output) = (try call.input(0), try call.input(1), call.optional(2), try call.output())
      let (transA, transB) = (try call.attributes.flag("transA"), try call.attributes.flag("transB"))
      let alpha = try call.attributes.float("alpha", default: 1)
      let beta = try call.attributes.float("beta", default: 1)
      let (m, n) = (output.shape[0], output.shape[1])
      let k = transA ? a.shape[0] : a.shape[1]
      let isBias = c.map { $0.count == n && ($0.shape.last ?? 1) == n } ?? true
      if a.type == .float32, let weights = b.constant, !transA, alpha == 1, beta == 1 || c == nil, isBias, k > 0 {
        return try PackedLinear(weights, transposed: transB, call.weights, call.context.pool)
          .step(call, m: m, x: a, bias: c, activation: MK_ACT_NONE, y: output)
      }
      var product = MatrixProduct(m: m, n: n, k: k, alpha: alpha)
      product.transposesA = transA
      product.transposesB = transB
      let multiply = try product.step(a.type, call, a: { a.pointer }, b: { b.pointer }, c: { output.pointer })
      guard let c, beta != 0 else { return multiply }
      if beta == 1 {
        let add = try BinaryArithmetic.add.step(output, c, into: output, call)
        return { () throws(MueError) in
          try multiply()
          try add()
        }
      }
      let add = try output.type.visit(ScaledSum(c: c, beta: Double(beta), output: output))
      return { () throws(MueError) in
        try multiply()
        try add()
      }
    })
}

/// output += beta * c, broadcast.
private struct ScaledSum: NumericVisitor {
  let c: Operand
  let beta: Double
  let output: Operand

  func visit<Element: NumericElement>(_ type: Element.Type) -> Step {
    let loop = StridedLoop.elementwise([c], output)
    return { [c, beta, output] () throws(MueError) in
      try loop.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<loop.inner.extent {
          let term = c.pointer.load(fromByteOffset: offset[1], as: type).asDouble * beta
          let sum = output.pointer.load(fromByteOffset: offset[0], as: type).asDouble + term
          output.pointer.storeBytes(of: Element(converting: sum), toByteOffset: offset[0], as: type)
          offset = offset &+ loop.inner.strides
        }
      }
    }
  }
}
