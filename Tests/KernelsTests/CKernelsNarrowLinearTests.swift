import CKernels
import Foundation
import Testing

/// A product with weights packed as bf16 or int8, of random numbers, and what it should be.
private struct NarrowProduct {
  let type: mk_weights
  let m: Int
  let k: Int
  let n: Int
  let x: Floats
  let ldx: Int
  let w: Floats
  let ldw: Int
  let transposed: Bool
  let packed: Bytes
  let errors: Floats

  init(
    _ type: mk_weights, m: Int, k: Int, n: Int, transposed: Bool, pool: OpaquePointer? = nil, _ randoms: inout Randoms
  ) {
    (self.type, self.m, self.k, self.n, self.transposed) = (type, m, k, n, transposed)
    ldx = k + randoms.int(0...3)
    ldw = (transposed ? k : n) + randoms.int(0...3)
    x = randoms.floats(max(m * ldx, 1), -1, 2)
    w = randoms.floats(max((transposed ? n : k) * ldw, 1))
    packed = Bytes(mk_linear_packed_bytes(type, k, n))
    errors = Floats(n)
    pack(pool)
  }

  func pack(_ pool: OpaquePointer?) {
    mk_linear_pack(pool, type, w.p, ldw, transposed ? 1 : 0, k, n, packed.base)
    mk_linear_errors(pool, type, w.p, ldw, transposed ? 1 : 0, k, n, packed.base, errors.p)
  }

  func weight(_ p: Int, _ j: Int) -> Float { w[transposed ? j * ldw + p : p * ldw + j] }

  /// Integers stand for both operands: float32 is left out of the sums.
  var isQuantised: Bool {
    type == MK_WEIGHTS_INT8 && (isFew || k <= MK_QUANTISED_DEPTH)
  }

  var isFew: Bool { m <= MK_NARROW_ROWS }

  /// The packed weights [k, n], from the description of the formats in docs/kernels.md.
  func storedWeights() -> [Double] {
    var stored = [Double](repeating: 0, count: k * n)
    for j in 0..<n {
      let largest = stride(from: 0, to: k, by: 2).reduce(Float(0)) { most, p in
        max(most, 0.5 * abs(weight(p, j)) + (p + 1 < k ? 0.5 * abs(weight(p + 1, j)) : 0))
      }
      let scale = largest / 63.5
      let inverse = 1 / scale
      for p in 0..<k {
        let value = weight(p, j)
        if type == MK_WEIGHTS_BF16 {
          let bits = value.bitPattern
          stored[p * n + j] = Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
        } else if scale >= Float.leastNormalMagnitude {
          stored[p * n + j] = Double(scale) * Double(min(max((value * inverse).rounded(.toNearestOrEven), -127), 127))
        }
      }
    }
    return stored
  }

  /// Row i as the product sees it, and the size of one step when it is quantised.
  func row(_ i: Int) -> (values: [Double], step: Double) {
    let values = (0..<k).map { x[i * ldx + $0] }
    guard isQuantised else { return (values.map(Double.init), 0) }
    if isFew {
      let levels = Float(mk_int8_levels(k))
      let scale = values.reduce(0) { max($0, abs($1)) } / levels
      guard scale >= Float.leastNormalMagnitude else { return (values.map { _ in 0 }, 0) }
      let inverse = 1 / scale
      let rounded = values.map { min(max(($0 * inverse).rounded(.toNearestOrEven), -levels), levels) }
      return (rounded.map { Double(scale) * Double($0) }, 1.01 * Double(scale))
    }
    let high = max(values.max() ?? 0, 0) / 255
    let low = min(values.min() ?? 0, 0) / 255
    let scale = high - low
    guard scale >= Float.leastNormalMagnitude else { return (values.map { _ in 0 }, 0) }
    let inverse = 1 / scale
    let zero = (-min(values.min() ?? 0, 0) * inverse).rounded(.toNearestOrEven)
    let quantised = values.map {
      Double(scale) * Double(min(max(($0 * inverse).rounded(.toNearestOrEven), -zero), 255 - zero))
    }
    return (quantised, Double(scale))
  }

  /// Computes it with everything that may be added, and returns the largest error in units of the bound.
  func worst(
    isa: Int32, activation: mk_activation, withBias: Bool, residual kind: Int, pool: OpaquePointer?,
    _ randoms: inout Randoms
  ) -> Double {
    let ldy = n + randoms.int(0...3)
    let y = randoms.floats(max(m * ldy, 1))
    let before = y.copy()
    let bias = withBias ? randoms.floats(n) : nil
    let residual = kind == 1 ? randoms.floats(m * ldy) : kind == 2 ? y : nil
    let scratch = Bytes(mk_linear_scratch(pool, type, m, k, n))
    mk_linear(pool, type, m, k, n, x.p, ldx, packed.base, bias?.p, activation, residual?.p, ldy, y.p, ldy, scratch.base)
    guard y.intact, packed.intact, scratch.intact else { return .infinity }

    let stored = storedWeights()
    var worst = 0.0
    for i in 0..<m {
      let (values, step) = row(i)
      let norm = (0..<k).reduce(0.0) { $0 + Double(x[i * ldx + $1]) * Double(x[i * ldx + $1]) }.squareRoot()
      for j in 0..<n {
        var sum = 0.0
        var magnitude = 0.0
        var exact = 0.0
        for p in 0..<k {
          let product = values[p] * stored[p * n + j]
          sum += product
          magnitude += abs(product)
          exact += Double(x[i * ldx + p]) * Double(weight(p, j))
        }
        let added =
          Double(bias?[j] ?? 0) + Double(kind == 0 ? 0 : kind == 2 ? before[i * ldy + j] : residual?[i * ldy + j] ?? 0)
        let rest = Double(abs(bias?[j] ?? 0)) + abs(added - Double(bias?[j] ?? 0))
        var bound =
          isQuantised
          ? 0x1p-24 * (6 * abs(sum) + 4 * rest) + 1e-30 : productBound(k + 2, magnitude + rest)
        if type == MK_WEIGHTS_BF16, isa == 6 { bound += 0x1p-8 * magnitude }
        // From the product of the unrounded operands: the weights' distance, and half a step for each element of x.
        let steps = step / 2 * (0..<k).reduce(0.0) { $0 + abs(stored[$1 * n + j]) }
        if abs(sum - exact) > (norm * Double(errors[j]) + steps) * (1 + 1e-5) { worst = .infinity }
        let slack = activation == MK_ACT_NONE ? 0 : 5e-7 * max(1, magnitude + rest)
        let error = abs(Double(y[i * ldy + j]) - CKernels.activated(activation, sum + added))
        let allowed = 1.13 * bound + slack
        worst = error <= allowed ? max(worst, error / allowed) : .infinity
      }
      for j in n..<ldy where y[i * ldy + j] != before[i * ldy + j] { worst = .infinity }
    }
    return worst
  }
}

extension CKernels {
  private static let narrowTypes = [MK_WEIGHTS_BF16, MK_WEIGHTS_INT8]

  private func check(_ isa: Int32, m: Int, k: Int, n: Int, pool: OpaquePointer? = nil, seed: Int) {
    for type in Self.narrowTypes {
      var randoms = Randoms(UInt64(seed))
      let transposed = randoms.int(0...1) == 0
      let product = NarrowProduct(type, m: m, k: k, n: n, transposed: transposed, pool: pool, &randoms)
      let worst = product.worst(
        isa: isa, activation: Self.activations[seed % 7], withBias: seed % 3 != 0, residual: seed % 5 % 3, pool: pool,
        &randoms)
      #expect(worst <= 1, "isa \(isa) weights \(type) m \(m) k \(k) n \(n) transposed \(transposed) seed \(seed)")
    }
  }

  /// Every number of rows up to 70, with depths and columns around the edges of tiles, panels and chunks.
  @Test(arguments: instructionSets)
  func narrowLinear(isa: Int32) {
    var randoms = Randoms(UInt64(isa) + 77)
    Self.with(isa) {
      for m in 1...70 { check(isa, m: m, k: randoms.int(1...140), n: randoms.int(1...40), seed: m) }
      for edge in [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 127, 128, 129] {
        check(isa, m: randoms.int(1...12), k: edge, n: randoms.int(1...40), seed: edge + 100)
        check(isa, m: randoms.int(13...25), k: edge, n: randoms.int(1...40), seed: edge + 300)
        check(isa, m: randoms.int(1...12), k: randoms.int(1...70), n: edge, seed: edge + 500)
        check(isa, m: randoms.int(13...25), k: randoms.int(1...70), n: edge, seed: edge + 700)
      }
    }
  }

  /// Several groups of rows and of columns, several depth parts, threads, and a depth that is too long for integers.
  @Test(arguments: instructionSets)
  func narrowLinearInBlocks(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      check(isa, m: 1, k: 777, n: 333, pool: pool, seed: 1)
      check(isa, m: 5, k: 1601, n: 67, pool: pool, seed: 2)
      check(isa, m: 7, k: 4096, n: 67, pool: pool, seed: 6)
      check(isa, m: 14, k: 1601, n: 35, seed: 3)
      check(isa, m: 195, k: 405, n: 19, seed: 4)
      check(isa, m: 397, k: 33, n: 151, pool: pool, seed: 5)
      check(isa, m: 13, k: MK_QUANTISED_DEPTH + 1, n: 2, seed: 14)
    }
  }

  /// Packed on one instruction set, used on another: the bytes are the same, and so are products of integers.
  @Test func narrowLinearIsTheSameEverywhere() {
    for type in Self.narrowTypes + [MK_WEIGHTS_BF16_CODED, MK_WEIGHTS_F32_CODED] {
      var randoms = Randoms(12)
      let (m, k, n) = (40, 1203, 133)
      let product = NarrowProduct(type, m: m, k: k, n: n, transposed: false, &randoms)
      var bytes: Data?
      var values: [Float]?
      for isa in Self.instructionSets {
        Self.with(isa) {
          product.pack(nil)
          let packed = Data(bytes: product.packed.base, count: mk_linear_packed_bytes(type, k, n))
          #expect(bytes == nil || bytes == packed, "isa \(isa) packs \(type) differently")
          bytes = packed
          let y = Floats(m * n)
          let scratch = Bytes(mk_linear_scratch(nil, type, m, k, n))
          mk_linear(
            nil, type, m, k, n, product.x.p, product.ldx, product.packed.base, nil, MK_ACT_NONE, nil, 0, y.p, n,
            scratch.base)
          let result = (0..<m * n).map { y[$0] }
          if type == MK_WEIGHTS_INT8 { #expect(values == nil || values == result, "isa \(isa)") }
          values = result
        }
      }
    }
  }

  /// The longest sums of integers there can be, and of pairs: every product at its largest, of one sign. 63.5 steps of 1 are
  /// rounded to 64.
  @Test(arguments: instructionSets)
  func narrowLinearDoesNotOverflow(isa: Int32) {
    Self.with(isa) {
      for (m, k) in [(13, MK_QUANTISED_DEPTH), (12, 4096), (1, 9000), (5, 16)] {
        let n = 2
        let x = Floats(m * k, filledWith: 255)
        let w = Floats(k * n, filledWith: -63.5)
        for p in 0..<k { w[p * n] = 63.5 }
        let packed = Bytes(mk_linear_packed_bytes(MK_WEIGHTS_INT8, k, n))
        let scratch = Bytes(mk_linear_scratch(nil, MK_WEIGHTS_INT8, m, k, n))
        let y = Floats(m * n)
        mk_linear_pack(nil, MK_WEIGHTS_INT8, w.p, n, 0, k, n, packed.base)
        mk_linear(nil, MK_WEIGHTS_INT8, m, k, n, x.p, k, packed.base, nil, MK_ACT_NONE, nil, 0, y.p, n, scratch.base)
        let expected = Float(255 * 64 * k)
        // Steps of 1 are exact; those of few rows are 255 / levels.
        let allowed = m > MK_NARROW_ROWS ? 0 : expected * 0x1p-21
        for i in 0..<m {
          #expect(abs(y[i * n] - expected) <= allowed && abs(y[i * n + 1] + expected) <= allowed, "m \(m) k \(k)")
        }
      }
    }
  }

  /// NaN and infinity stay in their row of x and in their column of w; zeros and tiny numbers are zeros.
  @Test(arguments: instructionSets)
  func narrowLinearOfSpecialNumbers(isa: Int32) {
    Self.with(isa) {
      for type in Self.narrowTypes {
        for m in [9, 20] {
          var randoms = Randoms(3)
          let (k, n) = (37, 35)
          let x = randoms.floats(m * k, 0.5, 1)
          let w = randoms.floats(k * n, 0.5, 1)
          x[2 * k + 5] = .nan
          x[4 * k + 36] = .infinity
          for p in 0..<k {
            x[6 * k + p] = 0
            x[7 * k + p] = 0x1p-133
            w[p * n + 1] = 0
            w[p * n + 2] = 0x1p-136
          }
          w[3 * n + 33] = .nan
          w[36 * n + 34] = -.infinity
          let packed = Bytes(mk_linear_packed_bytes(type, k, n))
          let scratch = Bytes(mk_linear_scratch(nil, type, m, k, n))
          let errors = Floats(n)
          let y = Floats(m * n)
          mk_linear_pack(nil, type, w.p, n, 0, k, n, packed.base)
          mk_linear_errors(nil, type, w.p, n, 0, k, n, packed.base, errors.p)
          mk_linear(nil, type, m, k, n, x.p, k, packed.base, nil, MK_ACT_NONE, nil, 0, y.p, n, scratch.base)
          for i in 0..<m {
            for j in 0..<n {
              let value = y[i * n + j]
              switch (i, j) {
              case (2, _), (_, 33): #expect(value.isNaN, "isa \(isa) \(type) m \(m) row \(i) column \(j)")
              case (4, _), (_, 34): #expect(!value.isFinite, "isa \(isa) \(type) m \(m) row \(i) column \(j)")
              case (6, _), (_, 1): #expect(value == 0)
              case (7, _), (_, 2): #expect(abs(value) < 1e-37)
              default: #expect(value.isFinite && value > 0)
              }
            }
          }
          #expect(errors[33] == .infinity && errors[34] == .infinity && errors[1] == 0 && errors[0] > 0)
        }
      }
    }
  }

  @Test(arguments: instructionSets)
  func narrowLinearOfNothing(isa: Int32) {
    Self.with(isa) {
      for type in Self.narrowTypes {
        for m in [2, 20] {
          let bias = Floats(5, filledWith: 3)
          let y = Floats(m * 5)
          let packed = Bytes(mk_linear_packed_bytes(type, 0, 5))
          let scratch = Bytes(mk_linear_scratch(nil, type, m, 0, 5))
          let errors = Floats(5)
          mk_linear_pack(nil, type, bias.p, 5, 0, 0, 5, packed.base)
          mk_linear_errors(nil, type, bias.p, 5, 0, 0, 5, packed.base, errors.p)
          mk_linear(nil, type, m, 0, 5, bias.p, 0, packed.base, bias.p, MK_ACT_NONE, nil, 0, y.p, 5, scratch.base)
          #expect((0..<m * 5).allSatisfy { y[$0] == 3 } && (0..<5).allSatisfy { errors[$0] == 0 })
          mk_linear(nil, type, 0, 3, 5, bias.p, 3, packed.base, bias.p, MK_ACT_NONE, nil, 0, y.p, 5, scratch.base)
        }
      }
    }
  }
}
