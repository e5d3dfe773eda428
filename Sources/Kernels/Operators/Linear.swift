import CKernels
import Tensor

extension Operator {
  /// activation(x W + bias + residual): x [..., K], W a constant [K, N] ([N, K] with `transposed`), bias [N], residual
  /// of the output's shape [..., N].
  static let linear = Operator(
    "Linear", domain: "mue", overwritableInputs: [3],
    infer: { node throws(MueError) in
      let (x, w) = (try node.input(0), try node.input(1))
      try node.require(0, .float32)
      try node.require(1, .float32)
      guard w.shape.count == 2, let k = x.shape.last else {
        throw MueError(.invalidModel, "\(x.shape) and \(w.shape) do not multiply")
      }
      let transposed = try node.attributes.flag("transposed")
      let (depth, n) = transposed ? (w.shape[1], w.shape[0]) : (w.shape[0], w.shape[1])
      let shape = x.shape.dropLast() + [n]
      guard depth == k else { throw MueError(.invalidModel, "\(x.shape) and \(w.shape) do not multiply") }
      if let bias = node.optional(2), bias.type != .float32 || bias.shape != [n] {
        throw MueError(.invalidModel, "a bias of shape \(bias.shape) for \(n) columns")
      }
      if let residual = node.optional(3), residual.type != .float32 || residual.shape != Array(shape) {
        throw MueError(.invalidModel, "a residual of shape \(residual.shape) for \(shape)")
      }
      _ = try node.attributes.activation()
      return [TensorInfo(.float32, Array(shape))]
    },
    multiplyAdds: { inputs, outputs, _ in
      guard let depth = inputs.first??.shape.last, let output = outputs.first else { return 0 }
      return output.shape.reduce(depth, &*)
    },
    pack: { node, context, forFewRows throws(MueError) in
      guard let weights = try node.input(1).constant else { return }
      _ = try PackedLinear(
        weights, transposed: node.attributes.flag("transposed"), context.weights, context.pool, forFewRows: forFewRows)
    },
    prepare: { call throws(MueError) in
      let (x, output) = (try call.input(0), try call.output())
      guard let weights = try call.input(1).constant else {
        throw MueError(.internal, "the weights of a fused product must be constant")
      }
      let packed = try PackedLinear(
        weights, transposed: call.attributes.flag("transposed"), call.weights, call.context.pool)
      return try packed.step(
        call, m: output.shape.dropLast().reduce(1, &*), x: x, bias: call.optional(2), residual: call.optional(3),
        activation: call.attributes.activation(), y: output)
    })
}
