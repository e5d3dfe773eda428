import CKernels
import Testing

extension CKernels {
  @Test(arguments: [MK_ISA_PORTABLE, MK_ISA_AVX2, MK_ISA_AVX512])
  func productsOfRowsAsTheyLie(isa: mk_isa) {
    guard mk_isa_force(isa.rawValue) != 0 else { return }
    defer { _ = mk_isa_force(MK_ISA_BEST.rawValue) }
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    var state: UInt32 = 7
    func number() -> Float {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) / Float(1 << 23) - 1
    }
    for (m, k, n) in [(1, 1, 1), (1, 7, 9), (5, 768, 300), (3, 65, 129), (13, 100, 257), (2, 16, 8), (64, 33, 140)] {
      // Rows further apart than they are long, and everything four bytes off.
      let (ldx, ldw, ldy) = (k + 3, k + 1, n + 5)
      let x = (0..<m * ldx + 1).map { _ in number() }
      let w = (0..<n * ldw + 1).map { _ in number() }
      let bias = (0..<n + 1).map { _ in number() }
      for hasBias in [false, true] {
        var y = [Float](repeating: 99, count: m * ldy + 1)
        x.withUnsafeBufferPointer { x in
          w.withUnsafeBufferPointer { w in
            bias.withUnsafeBufferPointer { bias in
              y.withUnsafeMutableBufferPointer { y in
                guard let x = x.baseAddress, let w = w.baseAddress, let bias = bias.baseAddress, let y = y.baseAddress
                else { return }
                mk_rows_product(pool, m, k, n, x + 1, ldx, w + 1, ldw, hasBias ? bias + 1 : nil, y + 1, ldy)
              }
            }
          }
        }
        for i in 0..<m {
          for j in 0..<n {
            var sum = hasBias ? Double(bias[1 + j]) : 0
            var magnitude = abs(sum)
            for p in 0..<k {
              let term = Double(x[1 + i * ldx + p]) * Double(w[1 + j * ldw + p])
              sum += term
              magnitude += abs(term)
            }
            let error = abs(Double(y[1 + i * ldy + j]) - sum)
            #expect(error <= Double(k + 6) * 0x1p-24 * magnitude + 1e-30, "\(m) \(k) \(n) at \(i), \(j)")
          }
          for j in n..<ldy where 1 + i * ldy + j < y.count { #expect(y[1 + i * ldy + j] == 99) }
        }
      }
    }
  }

  /// Candidates are all that may be the largest, and the floor is what is certain.
  @Test(arguments: [1, 255, 256, 257, 3000]) func screening(count: Int) {
    var state: UInt32 = 3
    func number() -> Float {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) / Float(1 << 23) - 1
    }
    var logits = (0..<count).map { _ in number() }
    var bounds = (0..<count).map { _ in abs(number()) * 0.1 }
    if count > 10 {
      (logits[3], logits[4], logits[5], bounds[6], bounds[7]) = (.nan, .infinity, -.infinity, .infinity, .nan)
    }
    for norm in [0, 0.5, 3] as [Float] {
      let floor = mk_screen_floor(count, logits, bounds, norm)
      let known = (0..<count).map { logits[$0] - (norm * bounds[$0] + 0x1p-21 * abs(logits[$0])) }.filter { !$0.isNaN }
      #expect(floor == known.max() ?? -.infinity)
      let expected = (0..<count).filter {
        !(logits[$0] + (norm * bounds[$0] + 0x1p-21 * abs(logits[$0])) < floor)
      }
      var indices = [mk_int](repeating: -1, count: count)
      #expect(mk_screen_candidates(count, logits, bounds, norm, floor, count, &indices) == expected.count)
      #expect(Array(indices.prefix(expected.count)) == expected)
      if expected.count > 1 {
        let most = expected.count - 1
        #expect(mk_screen_candidates(count, logits, bounds, norm, floor, most, &indices) == most + 1)
      }
    }
  }
}
