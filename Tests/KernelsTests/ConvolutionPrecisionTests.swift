import Kernels
import Tensor
import Testing

@Suite struct ConvolutionPrecisionTests {
  /// Conv of x with w at a precision, as a plan prepares it.
  private func convolution(
    _ x: Tensor, _ w: Tensor, isConstant: Bool = true, at precision: Precision
  ) throws -> [Float] {
    let op = try #require(OperatorTable.find(name: "Conv", domain: "", opset: 18))
    let inference = Inference(
      inputs: [TensorInfo(x), isConstant ? TensorInfo(w) : TensorInfo(w.type, w.shape)], attributes: Attributes(),
      opset: 18, outputCount: 1)
    let info = try #require(try op.infer(inference).first)
    let output = try Tensor(info.type, info.shape)
    let weights = PackedWeights(precision: precision)
    let step = try op.prepare(
      Call(
        inputs: [
          Operand(x.type, x.shape, x.pointer), Operand(w.type, w.shape, w.pointer, constant: isConstant ? w : nil),
        ],
        outputs: [Operand(output.type, output.shape, output.pointer)], attributes: Attributes(), opset: 18,
        context: try Run.context.get(), scratch: Scratch(), weights: weights))
    try step()
    return try withExtendedLifetime((x, w, weights)) { try output.elements(as: Float.self) }
  }

  @Test func pointwiseWeightsAreRoundedAtInt8Alone() throws {
    var random = Seeded(8)
    let (x, w) = (try random.tensor([2, 64, 5, 7]), try random.tensor([70, 64, 1, 1]))
    let exact = try convolution(x, w, at: .float32)
    let rounded = try convolution(x, w, at: .int8)
    let squaredError = zip(exact, rounded).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let squares = exact.reduce(0) { $0 + $1 * $1 }
    // Steps are 1/127 of what two neighbouring weights add up to at most, and 1/254 of a pixel's range; errors half of them.
    #expect(squaredError > 0 && squaredError < 0.008 * 0.008 * squares)
    #expect(try convolution(x, w, at: .bfloat16) == exact)
    #expect(try convolution(x, w, isConstant: false, at: .int8) == exact)
  }

  @Test func otherConvolutionsAreFloat32AtInt8() throws {
    var random = Seeded(9)
    let x = try random.tensor([1, 64, 6, 5])
    for shape in [[64, 64, 3, 3], [32, 64, 1, 1]] {
      let w = try random.tensor(shape)
      #expect(try convolution(x, w, at: .int8) == convolution(x, w, at: .float32))
    }
  }
}
