import CKernels
import Tensor

extension Operator {
  /// NumPy's matmul: batch dimensions broadcast, vectors count as one row or column.
  static let matMul = Operator(
    "MatMul",
    infer: { node throws(MueError) in
      let (a, b) = (try node.input(0), try node.input(1))
      guard a.type == b.type else {
        throw MueError(.invalidModel, "a product of \(a.type.name) and \(b.type.name) elements")
      }
      return [TensorInfo(a.type, try MatMulShape(a.shape, b.shape).output)]
    },
    multiplyAdds: { inputs, outputs, _ in
      guard let depth = inputs.first??.shape.last, let output = outputs.first else { return 0 }
      return output.shape.reduce(depth, &*)
    },
    prepare: { call throws(MueError) in
      let (a, b, output) = (try call.input(0), try call.input(1), try call.output())
      let shape = try MatMulShape(a.shape, b.shape)
      if a.type == .float32, b.shape.count == 2, let weights = b.constant, shape.k > 0 {
        return try PackedLinear(weights, transposed: false, call.weights, call.context.pool)
          .step(
            call, m: output.count / max(shape.n, 1), x: a, bias: nil, activation: MK_ACT_NONE, y: output)
      }
      return try shape.product.step(
        a.type, call, a: { a.pointer }, b: { b.pointer }, c: { output.pointer })
    })
}

/// The sizes of one matmul.
private struct MatMulShape {
  let output: [Int]
  let m: Int
  let n: Int
  let k: Int
  private let batch: [Int]
  private let batchA: [Int]
  private let batchB: [Int]

  init(_ a: [Int], _ b: [Int]) throws(MueError) {
    guard let lastA = a.last, !b.isEmpty else { throw MueError(.invalidModel, "a scalar is no matrix") }
    k = lastA
    m = a.count > 1 ? a[a.count - 2] : 1
    n = b.count > 1 ? b[b.count - 1] : 1
    let depthB = b.count > 1 ? b[b.count - 2] : b[0]
    guard depthB == k else { throw MueError(.invalidModel, "shapes \(a) and \(b) do not multiply") }
    batchA = a.dropLast(2)
    batchB = b.dropLast(2)
    batch = try Shape.broadcast(batchA, batchB)
    output = batch + (a.count > 1 ? [m] : []) + (b.count > 1 ? [n] : [])
    _ = try Shape.elementCount(output)
    _ = try Shape.elementCount([m, k])
    _ = try Shape.elementCount([k, n])
  }

  var product: MatrixProduct {
    var product = MatrixProduct(m: m, n: n, k: k)
    let count = batch.reduce(1, &*)
    if batchB.allSatisfy({ $0 == 1 }), batchA.reduce(1, &*) == count {
      // One right-hand side for all: the left-hand sides are rows of one matrix.
      product.m = m &* count
      return product
    }
    product.offsetsA = Self.offsets(batchA, in: batch, size: m &* k)
    product.offsetsB = Self.offsets(batchB, in: batch, size: k &* n)
    return product
  }

  /// Where each matrix of the broadcast batch starts, in elements.
  private static func offsets(_ own: [Int], in batch: [Int], size: Int) -> [Int] {
    let strides = StridedLoop.broadcastStrides(own, to: batch, width: size)
    let places = Shape.strides(batch)
    return (0..<batch.reduce(1, &*)).map { index in
      batch.indices.reduce(0) { $0 &+ index / places[$1] % batch[$1] &* strides[$1] }
    }
  }
}
