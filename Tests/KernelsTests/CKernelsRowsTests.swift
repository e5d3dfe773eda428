import CKernels
import Foundation
import Testing

extension CKernels {
  /// Row lengths around vectors, pairs of vectors and blocks of sums.
  private static let lengths = Array(1...70) + [127, 128, 129, 511, 512, 513, 1023, 1025, 2049, 3001]

  @Test(arguments: instructionSets)
  func norms(isa: Int32) {
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      for n in Self.lengths {
        var randoms = Randoms(UInt64(n))
        // The last length with many rows, so that threads share them.
        let rows = n == 3001 ? 13 : randoms.int(1...4)
        let offset: Float = n % 3 == 0 ? 10 : 0
        let x = randoms.floats(rows * n, offset - 1, offset + 1)
        let residual = n % 2 == 0 ? randoms.floats(rows * n) : nil
        let gamma = n % 5 == 0 ? nil : randoms.floats(n)
        let beta = n % 7 == 0 ? nil : randoms.floats(n)
        let sum = n % 4 < 2 ? Floats(rows * n) : nil
        let eps: Float = 1e-5
        for rms in [false, true] {
          let y = Floats(rows * n)
          if rms {
            mk_rms_norm(pool, rows, n, x.p, residual?.p, gamma?.p, eps, sum?.p, y.p)
          } else {
            mk_layer_norm(pool, rows, n, x.p, residual?.p, gamma?.p, beta?.p, eps, sum?.p, y.p)
          }
          var worst = 0.0
          for r in 0..<rows {
            let s = (0..<n).map { i in Double(residual.map { x[r * n + i] + $0[r * n + i] } ?? x[r * n + i]) }
            let mean = rms ? 0 : s.reduce(0, +) / Double(n)
            let variance = s.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)
            let scale = 1 / (variance + Double(eps)).squareRoot()
            for i in 0..<n {
              let g = Double(gamma?[i] ?? 1)
              let b = rms ? 0 : Double(beta?[i] ?? 0)
              let expected = (s[i] - mean) * scale * g + b
              // The mean is a float: it is off by up to half an ulp of its size, times the scale.
              let bound = 1e-6 * (1 + abs(expected) + (abs(mean) + 1) * scale * abs(g) * 0.25)
              let error = abs(Double(y[r * n + i]) - expected)
              worst = error <= bound ? max(worst, error / bound) : .infinity
              if let sum, Double(sum[r * n + i]) != s[i] { worst = .infinity }
            }
          }
          #expect(worst <= 1, "isa \(isa) n \(n) rms \(rms)")
          #expect(y.intact && sum?.intact ?? true)
        }
      }
      // In place, sum into the residual.
      var randoms = Randoms(5)
      let x = randoms.floats(3 * 37)
      let r = randoms.floats(3 * 37)
      let (sum, y) = (Floats(3 * 37), Floats(3 * 37))
      mk_layer_norm(nil, 3, 37, x.p, r.p, nil, nil, 1e-6, sum.p, y.p)
      mk_layer_norm(nil, 3, 37, x.p, r.p, nil, nil, 1e-6, r.p, x.p)
      #expect((0..<111).allSatisfy { x[$0] == y[$0] && r[$0] == sum[$0] })
    }
  }

  @Test(arguments: instructionSets)
  func softmax(isa: Int32) {
    Self.with(isa) {
      for n in Self.lengths {
        var randoms = Randoms(UInt64(n))
        let x = randoms.floats(3 * n, -20, 20)
        for i in 0..<n {
          x[n + i] += 1000
          if i % 3 == 1 { x[2 * n + i] = -.infinity }
        }
        for log in [false, true] {
          let y = Floats(3 * n)
          mk_softmax(nil, 3, n, x.p, log ? 1 : 0, y.p)
          var worst = 0.0
          for r in 0..<3 {
            let s = (0..<n).map { Double(x[r * n + $0]) }
            let top = s.max() ?? 0
            let sum = s.reduce(0) { $0 + exp($1 - top) }
            let all = top + Foundation.log(sum)
            if n > 0, abs(Double(mk_logsumexp(x.p + r * n, n)) - all) > 1e-6 * max(1, abs(all)) { worst = .infinity }
            for i in 0..<n {
              let expected = log ? s[i] - all : exp(s[i] - all)
              let error =
                expected == -.infinity && y[r * n + i] == -.infinity ? 0 : abs(Double(y[r * n + i]) - expected)
              // x - max is rounded, and exp turns that error into a relative one.
              let relative = 8e-7 + (top - s[i]) * 6e-8
              let bound =
                log ? 1e-6 * max(1, abs(all) + abs(expected)) : expected == 0 ? 0 : relative * expected + 1e-37
              worst = error <= bound ? max(worst, error / bound) : .infinity
            }
          }
          #expect(worst <= 1, "isa \(isa) n \(n) log \(log)")
          #expect(y.intact)
        }
      }
    }
  }

  @Test(arguments: instructionSets)
  func softmaxOfSpecialValues(isa: Int32) {
    Self.with(isa) {
      for n in [1, 7, 16, 33] {
        let y = Floats(n)
        let hidden = Floats(n, filledWith: -.infinity)
        mk_softmax(nil, 1, n, hidden.p, 0, y.p)
        #expect((0..<n).allSatisfy { y[$0] == 0 })
        mk_softmax(nil, 1, n, hidden.p, 1, y.p)
        #expect((0..<n).allSatisfy { y[$0] == -.infinity })
        #expect(mk_logsumexp(hidden.p, n) == -.infinity)
        let broken = Floats(n, filledWith: 1)
        broken[n / 2] = .nan
        mk_softmax(nil, 1, n, broken.p, 0, y.p)
        #expect((0..<n).allSatisfy { y[$0].isNaN }, "n \(n)")
        #expect(mk_logsumexp(broken.p, n).isNaN)
        hidden[n - 1] = .nan
        mk_softmax(nil, 1, n, hidden.p, 0, y.p)
        #expect((0..<n).allSatisfy { y[$0].isNaN }, "n \(n)")
      }
      #expect(mk_logsumexp(Floats(1).p, 0) == -.infinity)
    }
  }

  @Test(arguments: instructionSets)
  func reductions(isa: Int32) {
    Self.with(isa) {
      for n in Self.lengths {
        var randoms = Randoms(UInt64(n))
        let x = randoms.floats(2 * n)
        let y = Floats(2)
        let rows = (0..<2).map { r in (0..<n).map { Double(x[r * n + $0]) } }
        func check(_ op: mk_reduction, _ bound: Double, _ expected: ([Double]) -> Double) {
          mk_reduce_rows(nil, op, 2, n, x.p, y.p)
          for r in 0..<2 { #expect(abs(Double(y[r]) - expected(rows[r])) <= bound, "isa \(isa) \(op) n \(n)") }
        }
        let size = Double(n)
        check(MK_REDUCE_SUM, 1e-6 * size) { $0.reduce(0, +) }
        check(MK_REDUCE_MEAN, 1e-6) { $0.reduce(0, +) / size }
        check(MK_REDUCE_SUM_SQUARE, 1e-6 * size) { $0.reduce(0) { $0 + $1 * $1 } }
        check(MK_REDUCE_MIN, 0) { $0.min() ?? 0 }
        check(MK_REDUCE_MAX, 0) { $0.max() ?? 0 }
        #expect(y.intact)
        // NaN anywhere wins.
        x[randoms.int(0...n - 1)] = .nan
        mk_reduce_rows(nil, MK_REDUCE_MAX, 2, n, x.p, y.p)
        #expect(y[0].isNaN && !y[1].isNaN)
        mk_reduce_rows(nil, MK_REDUCE_MIN, 2, n, x.p, y.p)
        #expect(y[0].isNaN && !y[1].isNaN)
      }
    }
  }

  @Test(arguments: instructionSets)
  func similarity(isa: Int32) {
    Self.with(isa) {
      for n in Self.lengths + [69767] {
        var randoms = Randoms(UInt64(n))
        let a = randoms.floats(n)
        let b = randoms.floats(n)
        for i in 0..<n { b[i] = a[i] + 0.1 * b[i] }
        var (dot, aa, bb) = (0.0, 0.0, 0.0)
        for i in 0..<n {
          dot += Double(a[i]) * Double(b[i])
          aa += Double(a[i]) * Double(a[i])
          bb += Double(b[i]) * Double(b[i])
        }
        #expect(abs(mk_similarity(a.p, b.p, n) - dot / (aa.squareRoot() * bb.squareRoot())) < 5e-7, "n \(n)")
        #expect(abs(mk_similarity(a.p, a.p, n) - 1) < 5e-7)
        let zeros = Floats(n, filledWith: 0)
        #expect(mk_similarity(a.p, zeros.p, n) == 0)
      }
      // Squares beyond a float's range still have a cosine where a block's sum fits.
      let large = Floats(3, filledWith: 1e18)
      #expect(abs(mk_similarity(large.p, large.p, 3) - 1) < 1e-6)
    }
  }

  @Test(arguments: instructionSets)
  func largest(isa: Int32) {
    Self.with(isa) {
      // The last lengths are more blocks than are taken of k, of which some may be nothing but NaN or -inf.
      for n in Self.lengths + [5000, 100_003] {
        var randoms = Randoms(UInt64(n))
        let x = Floats(n)
        // Few different values, so that there are ties.
        for i in 0..<n { x[i] = Float(randoms.int(0...(n > 1000 ? 5000 : 20))) }
        if n > 1000 { for i in 0..<n where i / 500 % 3 == 0 { x[i] = i / 500 % 2 == 0 ? .nan : -.infinity } }
        for i in 0..<n where randoms.int(0...9) == 0 { x[i] = .nan }
        if n > 5 { x[3] = -.infinity }
        let order = (0..<n).sorted { i, j in
          let (u, v) = (x[i], x[j])
          if u.isNaN != v.isNaN { return v.isNaN }
          return u != v && !u.isNaN ? u > v : i < j
        }
        #expect(mk_argmax(x.p, n) == order[0], "n \(n)")
        for k in [0, 1, 5, 64, n].filter({ $0 <= n && ($0 < 1000 || n < 1000) }) {
          let values = Floats(k)
          var indices = [Int](repeating: -7, count: k + 1)
          indices.withUnsafeMutableBufferPointer { mk_topk(x.p, n, k, values.p, $0.baseAddress) }
          #expect(indices.last == -7 && values.intact)
          #expect(Array(indices.dropLast()) == Array(order.prefix(k)), "n \(n) k \(k)")
          #expect((0..<k).allSatisfy { values[$0] == x[order[$0]] || values[$0].isNaN && x[order[$0]].isNaN })
        }
      }
      let none = Floats(9)
      #expect(mk_argmax(none.p, 0) == -1)
      #expect(mk_argmax(none.p, 9) == 0)  // all NaN
    }
  }
}
