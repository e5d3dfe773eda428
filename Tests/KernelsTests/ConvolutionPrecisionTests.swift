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

  /// The root mean square of what differs, in units of the exact outputs'.
  private func error(_ rounded: [Float], _ exact: [Float]) -> Float {
    let squares = zip(exact, rounded).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (squares / exact.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }

  @Test func pointwiseWeightsAreRounded() throws {
    var random = Seeded(8)
    let (x, w) = (try random.tensor([2, 64, 5, 7]), try random.tensor([70, 64, 1, 1]))
    let exact = try convolution(x, w, at: .float32)
    // Steps are 1/127 of what two neighbouring weights add up to at most, and 1/254 of a pixel's range; errors half of them.
    let int8 = error(try convolution(x, w, at: .int8), exact)
    #expect(int8 > 0 && int8 < 0.008)
    // Nothing is rounded where the processor does not multiply bf16; otherwise both operands, by 2^-9 at most.
    #expect(error(try convolution(x, w, at: .bfloat16), exact) < 0x1p-8)
    for precision in [Precision.int8, .bfloat16] {
      #expect(try convolution(x, w, isConstant: false, at: precision) == exact)
    }
  }

  @Test func windowsAreRoundedAtBFloat16() throws {
    var random = Seeded(10)
    for shape in [[64, 3, 7, 7], [24, 3, 3, 3], [33, 40, 3, 2]] {
      let (x, w) = (try random.tensor([1, shape[1], 13, 19]), try random.tensor(shape))
      let exact = try convolution(x, w, at: .float32)
      #expect(error(try convolution(x, w, at: .bfloat16), exact) < 0x1p-8)
    }
  }

  @Test func windowsOfWinogradsMethodAreFloat32() throws {
    var random = Seeded(11)
    let (x, w) = (try random.tensor([1, 32, 6, 5]), try random.tensor([32, 32, 3, 3]))
    #expect(try convolution(x, w, at: .bfloat16) == convolution(x, w, at: .float32))
  }

  @Test func windowsAreRoundedAtInt8() throws {
    var random = Seeded(12)
    // Which of them are rounded depends on the processor.
    for shape in [[64, 64, 3, 2], [64, 66, 3, 3], [64, 3, 7, 7]] {
      let (x, w) = (try random.tensor([2, shape[1], 17, 19]), try random.tensor(shape))
      let exact = try convolution(x, w, at: .float32)
      // Winograd's method, where it stays, is the same at both.
      #expect(error(try convolution(x, w, at: .int8), exact) < 0.01)
      #expect(try convolution(x, w, isConstant: false, at: .int8) == exact)
    }
  }

  @Test func otherConvolutionsAreFloat32AtInt8() throws {
    var random = Seeded(9)
    let x = try random.tensor([1, 64, 6, 5])
    for shape in [[63, 64, 3, 3], [32, 64, 1, 1]] {
      let w = try random.tensor(shape)
      #expect(try convolution(x, w, at: .int8) == convolution(x, w, at: .float32))
    }
  }
}
