import CKernels
import Foundation
import Testing

extension CKernels {
  /// y = activation(x w + bias + residual) in double, and the sum of magnitudes that its error is measured by.
  private static func reference(
    _ activation: mk_activation, _ row: Int, _ column: Int, k: Int, x: Floats, ldx: Int, w: (Int, Int) -> Float,
    bias: Floats?, residual: Float?
  ) -> (value: Double, magnitude: Double) {
    var sum = 0.0
    var magnitude = 0.0
    for p in 0..<k {
      let product = Double(x[row * ldx + p]) * Double(w(p, column))
      sum += product
      magnitude += abs(product)
    }
    if let bias {
      sum += Double(bias[column])
      magnitude += Double(abs(bias[column]))
    }
    if let residual {
      sum += Double(residual)
      magnitude += Double(abs(residual))
    }
    return (activated(activation, sum), magnitude)
  }

  static func activated(_ activation: mk_activation, _ x: Double) -> Double {
    switch activation {
    case MK_ACT_RELU: max(x, 0)
    case MK_ACT_GELU_ERF: 0.5 * x * erfc(-x / 2.0.squareRoot())
    case MK_ACT_GELU_TANH: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case MK_ACT_SILU: x / (1 + exp(-x))
    case MK_ACT_SIGMOID: 1 / (1 + exp(-x))
    case MK_ACT_TANH: tanh(x)
    default: x
    }
  }

  static let activations = [
    MK_ACT_NONE, MK_ACT_RELU, MK_ACT_GELU_ERF, MK_ACT_GELU_TANH, MK_ACT_SILU, MK_ACT_SIGMOID, MK_ACT_TANH,
  ]

  private func check(
    isa: Int32, m: Int, k: Int, n: Int, transposed: Bool, activation: mk_activation, withBias: Bool,
    residual kind: Int, pool: OpaquePointer?, seed: UInt64
  ) {
    var randoms = Randoms(seed)
    let ldx = k + randoms.int(0...5)
    let ldy = n + randoms.int(0...5)
    let ldw = (transposed ? k : n) + randoms.int(0...3)
    let x = randoms.floats(max(m * ldx, 1))
    let wCount = max((transposed ? n : k) * ldw, 1)
    let w = randoms.floats(wCount)
    let bias = withBias ? randoms.floats(n) : nil
    let y = randoms.floats(m * ldy)
    let before = y.copy()
    let residual = kind == 1 ? randoms.floats(m * ldy) : kind == 2 ? y : nil
    let packed = Bytes(mk_linear_packed_bytes(MK_WEIGHTS_F32, k, n))
    // Constants in a file may lie anywhere: here at an odd address.
    let odd = Bytes(wCount * 4 + 1)
    odd.base.advanced(by: 1).copyMemory(from: w.p, byteCount: wCount * 4)
    mk_linear_pack(
      pool, MK_WEIGHTS_F32, odd.base.advanced(by: 1).assumingMemoryBound(to: Float.self), ldw, transposed ? 1 : 0, k, n,
      packed.base)
    let scratch = Bytes(mk_linear_scratch(pool, MK_WEIGHTS_F32, m, k, n))
    mk_linear(
      pool, MK_WEIGHTS_F32, m, k, n, x.p, ldx, packed.base, bias?.p, activation, residual?.p, ldy, y.p, ldy,
      scratch.base)

    var worst = 0.0
    for i in 0..<m {
      for j in 0..<n {
        let r = kind == 0 ? nil : kind == 2 ? before[i * ldy + j] : residual?[i * ldy + j]
        let (expected, magnitude) = Self.reference(
          activation, i, j, k: k, x: x, ldx: ldx, w: { transposed ? w[$1 * ldw + $0] : w[$0 * ldw + $1] },
          bias: bias, residual: r)
        // No activation has a slope above 1.13 or adds more than 4 ulp of max(1, |x|).
        let bound = 1.13 * productBound(k, magnitude) + (activation == MK_ACT_NONE ? 0 : 5e-7 * max(1, magnitude))
        let error = abs(Double(y[i * ldy + j]) - expected)
        worst = error <= bound ? max(worst, error / bound) : .infinity
      }
      for j in n..<ldy where y[i * ldy + j] != before[i * ldy + j] { worst = .infinity }
    }
    #expect(
      worst <= 1, "isa \(isa) m \(m) k \(k) n \(n) transposed \(transposed) activation \(activation) residual \(kind)")
    #expect(y.intact && packed.intact && scratch.intact)
  }

  /// Every number of rows up to 70, with depths and columns around the edges of tiles, panels and chunks.
  @Test(arguments: instructionSets)
  func linear(isa: Int32) {
    var randoms = Randoms(UInt64(isa) + 7)
    Self.with(isa) {
      for m in 1...70 {
        let k = randoms.int(1...70)
        let n = randoms.int(1...70)
        check(
          isa: isa, m: m, k: k, n: n, transposed: m % 2 == 0, activation: Self.activations[m % 7], withBias: m % 3 != 0,
          residual: m % 5 % 3, pool: nil, seed: UInt64(m))
      }
      for edge in [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65] {
        check(
          isa: isa, m: randoms.int(1...14), k: edge, n: randoms.int(1...70), transposed: edge % 2 == 0,
          activation: MK_ACT_NONE, withBias: true, residual: 0, pool: nil, seed: UInt64(edge) + 100)
        check(
          isa: isa, m: randoms.int(1...14), k: randoms.int(1...70), n: edge, transposed: edge % 2 == 1,
          activation: MK_ACT_GELU_ERF, withBias: false, residual: 1, pool: nil, seed: UInt64(edge) + 200)
      }
    }
  }

  /// Several blocks of rows and of depth, odd sizes, threads.
  @Test(arguments: instructionSets)
  func linearInBlocks(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      check(
        isa: isa, m: 13, k: 801, n: 35, transposed: false, activation: MK_ACT_NONE, withBias: true, residual: 2,
        pool: nil, seed: 1)
      check(
        isa: isa, m: 203, k: 405, n: 19, transposed: true, activation: MK_ACT_SILU, withBias: true, residual: 2,
        pool: nil, seed: 2)
      check(
        isa: isa, m: 197, k: 33, n: 67, transposed: false, activation: MK_ACT_RELU, withBias: true, residual: 1,
        pool: pool, seed: 3)
      check(
        isa: isa, m: 1, k: 777, n: 333, transposed: true, activation: MK_ACT_NONE, withBias: true, residual: 0,
        pool: pool, seed: 4)
      check(
        isa: isa, m: 5, k: 513, n: 131, transposed: false, activation: MK_ACT_TANH, withBias: false, residual: 2,
        pool: pool, seed: 5)
    }
  }

  @Test(arguments: instructionSets)
  func linearOfNothing(isa: Int32) {
    Self.with(isa) {
      let bias = Floats(5, filledWith: 3)
      let y = Floats(10)
      let packed = Bytes(mk_linear_packed_bytes(MK_WEIGHTS_F32, 0, 5))
      let scratch = Bytes(mk_linear_scratch(nil, MK_WEIGHTS_F32, 2, 0, 5))
      mk_linear(nil, MK_WEIGHTS_F32, 2, 0, 5, bias.p, 0, packed.base, bias.p, MK_ACT_NONE, nil, 0, y.p, 5, scratch.base)
      #expect((0..<10).allSatisfy { y[$0] == 3 })
      mk_linear(nil, MK_WEIGHTS_F32, 0, 3, 5, bias.p, 3, packed.base, bias.p, MK_ACT_NONE, nil, 0, y.p, 5, scratch.base)
    }
  }

  /// A NaN or an infinity stays in its row.
  @Test(arguments: instructionSets)
  func linearKeepsNaNInItsRow(isa: Int32) {
    Self.with(isa) {
      var randoms = Randoms(3)
      let (m, k, n) = (9, 21, 37)
      let x = randoms.floats(m * k)
      let w = randoms.floats(k * n, 0.1, 1)
      x[2 * k + 5] = .nan
      x[4 * k + 20] = .infinity
      let y = Floats(m * n)
      let packed = Bytes(mk_linear_packed_bytes(MK_WEIGHTS_F32, k, n))
      let scratch = Bytes(mk_linear_scratch(nil, MK_WEIGHTS_F32, m, k, n))
      mk_linear_pack(nil, MK_WEIGHTS_F32, w.p, n, 0, k, n, packed.base)
      for activation in Self.activations {
        mk_linear(nil, MK_WEIGHTS_F32, m, k, n, x.p, k, packed.base, nil, activation, nil, 0, y.p, n, scratch.base)
        for i in 0..<m {
          for j in 0..<n {
            switch i {
            case 2: #expect(y[i * n + j].isNaN, "activation \(activation)")
            case 4:
              let bounded = activation == MK_ACT_SIGMOID || activation == MK_ACT_TANH
              #expect(y[i * n + j] == (bounded ? 1 : .infinity), "activation \(activation)")
            default: #expect(y[i * n + j].isFinite)
            }
          }
        }
      }
    }
  }

  /// op(a) op(b) for every pair of transpositions, batches by stride and by offset.
  @Test(arguments: instructionSets)
  func gemm(isa: Int32) {
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(UInt64(isa) + 70)
    Self.with(isa) {
      for round in 0..<60 {
        let big = round % 10 == 9
        let (m, n, k) = (
          randoms.int(1...(big ? 110 : 40)), randoms.int(1...(big ? 300 : 40)), randoms.int(1...(big ? 300 : 40))
        )
        let batch = big ? 1 : randoms.int(1...4)
        let (transA, transB) = (round & 1 != 0, round & 2 != 0)
        let lda = (transA ? m : k) + randoms.int(0...3)
        let ldb = (transB ? k : n) + randoms.int(0...3)
        let ldc = n + randoms.int(0...3)
        let sizeA = (transA ? k : m) * lda
        let sizeB = (transB ? n : k) * ldb
        let a = randoms.floats(batch * sizeA)
        let b = randoms.floats(batch * sizeB)
        let c = Floats(batch * m * ldc)
        // By offset: the operands in reverse order.
        let offsets = (0..<batch).map { (batch - 1 - $0) * sizeA }
        let byOffset = round % 3 == 0
        let alpha: Float = round % 4 == 0 ? 1 : 0.37
        offsets.withUnsafeBufferPointer { offsets in
          var args = mk_gemm_args()
          (args.batch, args.m, args.n, args.k, args.alpha) = (batch, m, n, k, alpha)
          (args.a, args.lda, args.stride_a, args.trans_a) = (UnsafePointer(a.p), lda, sizeA, transA ? 1 : 0)
          (args.b, args.ldb, args.stride_b, args.trans_b) = (UnsafePointer(b.p), ldb, sizeB, transB ? 1 : 0)
          (args.c, args.ldc, args.stride_c) = (c.p, ldc, m * ldc)
          if byOffset { args.offsets_a = offsets.baseAddress }
          let used = round % 2 == 0 ? nil : pool
          let scratch = Bytes(mk_gemm_batched_scratch(used, &args))
          mk_gemm_batched(used, &args, scratch.base)
          #expect(scratch.intact)
        }
        var worst = 0.0
        for z in 0..<batch {
          let startA = byOffset ? offsets[z] : z * sizeA
          for i in 0..<m {
            for j in 0..<n {
              var sum = 0.0
              var magnitude = 0.0
              for p in 0..<k {
                let u = a[startA + (transA ? p * lda + i : i * lda + p)]
                let v = b[z * sizeB + (transB ? j * ldb + p : p * ldb + j)]
                sum += Double(u) * Double(v)
                magnitude += abs(Double(u) * Double(v))
              }
              let error = abs(Double(c[z * m * ldc + i * ldc + j]) - Double(alpha) * sum)
              let bound = productBound(k, magnitude)
              worst = error <= bound ? max(worst, error / bound) : .infinity
            }
            for j in n..<ldc where !c[z * m * ldc + i * ldc + j].isNaN { worst = .infinity }
          }
        }
        #expect(worst <= 1, "isa \(isa) batch \(batch) m \(m) n \(n) k \(k) \(transA) \(transB) \(byOffset)")
        #expect(c.intact)
      }
    }
  }
}
