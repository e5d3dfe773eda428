import CKernels
import Foundation
import Kernels
import Tensor
import Testing

/// Weights that decoding reads (`Operator.pack` for few rows): in 12 bits instead of 16, or 28 of 32, where they fit. One after the other with the
/// tests that force an instruction set, on which it depends.
extension CKernels {
  /// x times w by the operator Linear, and the bytes of the packed weights.
  private func linear(
    _ x: Tensor, _ w: Tensor, at precision: Precision, packedForFewRows: Bool, from archive: (any PackedArchive)? = nil
  ) throws -> (y: [Float], byteCount: Int) {
    let op = try #require(OperatorTable.find(name: "Linear", domain: "mue", opset: 18))
    let context = ComputeContext(pool: try ThreadPool(threads: 2), weights: PackedWeights(precision: precision))
    let inference = Inference(
      inputs: [TensorInfo(x), TensorInfo(w.type, w.shape, constant: w)], attributes: Attributes(), opset: 18,
      outputCount: 1)
    context.weights.use(archive)
    if packedForFewRows, let pack = op.pack { try pack(inference, context, true) }
    let info = try #require(try op.infer(inference).first)
    let output = try Tensor(info.type, info.shape)
    let step = try op.prepare(
      Call(
        inputs: [Operand(x.type, x.shape, x.pointer), Operand(w.type, w.shape, w.pointer, constant: w)],
        outputs: [Operand(output.type, output.shape, output.pointer)], attributes: Attributes(), opset: 18,
        context: context, scratch: Scratch()))
    try step()
    return try withExtendedLifetime((x, w)) { (try output.elements(as: Float.self), context.weights.byteCount) }
  }

  private func packedBytes(_ type: mk_weights, _ w: Tensor) -> Int {
    Int(mk_linear_packed_bytes(type, w.shape[0], w.shape[1]))
  }

  private static let forms: [(Precision, plain: mk_weights, coded: mk_weights)] = [
    (.float32, MK_WEIGHTS_F32, MK_WEIGHTS_F32_CODED), (.bfloat16, MK_WEIGHTS_BF16, MK_WEIGHTS_BF16_CODED),
  ]

  @Test(arguments: [1, 5, 12, 13, 70]) func codedProductsAreTheSame(rows: Int) throws {
    var random = Seeded(UInt64(rows))
    let (x, w) = (try random.tensor([rows, 133]), try random.tensor([133, 75]))
    for form in Self.forms {
      let coded = try linear(x, w, at: form.0, packedForFewRows: true)
      let plain = try linear(x, w, at: form.0, packedForFewRows: false)
      // The same numbers, added up in another order.
      let largest = plain.y.reduce(0) { max($0, abs($1)) }
      for (a, b) in zip(coded.y, plain.y) { #expect(abs(a - b) <= 1e-5 * largest) }
      #expect(plain.byteCount == packedBytes(form.plain, w))
      #expect(coded.byteCount == packedBytes(mk_linear_prefers_coded() != 0 ? form.coded : form.plain, w))
    }
  }

  @Test func whatCannotBeCodedStaysAsItIs() throws {
    var random = Seeded(7)
    let (x, source) = (try random.tensor([3, 64]), try random.tensor([64, 32]))
    let values = try source.elements(as: Float.self).enumerated().map { scalbn($1, -($0 % 50)) }
    let w = try Tensor(.float32, [64, 32], values)
    for form in Self.forms {
      let asked = try linear(x, w, at: form.0, packedForFewRows: true)
      let plain = try linear(x, w, at: form.0, packedForFewRows: false)
      #expect(asked.y == plain.y)
      #expect(asked.byteCount == packedBytes(form.plain, w))
    }
  }

  @Test func integersAreNotCoded() throws {
    var random = Seeded(8)
    let (x, w) = (try random.tensor([3, 64]), try random.tensor([64, 32]))
    let asked = try linear(x, w, at: .int8, packedForFewRows: true)
    #expect(try asked.y == linear(x, w, at: .int8, packedForFewRows: false).y)
    #expect(asked.byteCount == packedBytes(MK_WEIGHTS_INT8, w))
  }

  /// An archive that fills everything with bytes of its own, and says that all is well.
  private final class Forger: PackedArchive {
    var added = 0
    func fill(_ packed: Buffer, _ layout: String, of source: Tensor) -> Bool {
      packed.base.initializeMemory(as: UInt8.self, repeating: 0xFF, count: packed.byteCount)
      return true
    }
    func add(_ layout: String, of source: Tensor, packed: Buffer) { added += 1 }
  }

  @Test func codesFromElsewhereAreChecked() throws {
    guard mk_linear_prefers_coded() != 0 else { return }
    var random = Seeded(9)
    let (x, w) = (try random.tensor([2, 64]), try random.tensor([64, 32]))
    for form in Self.forms {
      let forger = Forger()
      let own = try linear(x, w, at: form.0, packedForFewRows: true)
      #expect(try own.y == linear(x, w, at: form.0, packedForFewRows: true, from: forger).y)
      #expect(forger.added == 1)
    }
  }

  @Test func memoryOfWhatDoesNotFitIsUsedAgain() throws {
    let weights = PackedWeights(precision: .bfloat16)
    let (first, second) = (try Tensor(.float32, [4]), try Tensor(.float32, [4]))
    let key = PackedWeights.Key("test", first)
    var tried: UnsafeMutableRawPointer?
    var tries = 0
    for _ in 0..<2 {
      let packed = try weights.packedIfFitting(key, of: first, byteCount: 1000) { target in
        tries += 1
        tried = target
        return false
      }
      #expect(packed == nil)
    }
    #expect(tries == 1)
    #expect(weights.known(key) == nil && weights.byteCount == 0)
    let next = try weights.packed(.init("test", second), of: second, byteCount: 900) { _ in }
    #expect(next.base == tried)
    #expect(weights.known(.init("test", second))?.base == next.base)
  }
}
