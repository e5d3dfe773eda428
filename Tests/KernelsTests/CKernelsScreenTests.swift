import CKernels
import Testing

extension CKernels {
  @Test(arguments: CKernels.instructionSets)
  func productsOfRowsAsTheyLie(isa: Int32) {
    #expect(mk_isa_force(isa) == 1)
    defer { mk_isa_force(-1) }
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(7)
    for (m, k, n) in [(1, 1, 1), (1, 7, 9), (5, 768, 300), (3, 65, 129), (13, 100, 257), (2, 16, 8), (64, 33, 140)] {
      // Rows further apart than they are long, and everything four bytes off.
      let (ldx, ldw, ldy) = (k + 3, k + 1, n + 5)
      let x = (0..<m * ldx + 1).map { _ in randoms.float() }
      let w = (0..<n * ldw + 1).map { _ in randoms.float() }
      let bias = (0..<n + 1).map { _ in randoms.float() }
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

  /// Candidates are all that may reach the floor of their row.
  @Test(arguments: [1, 63, 64, 65, 257, 3000], CKernels.instructionSets)
  func screening(count: Int, isa: Int32) {
    #expect(mk_isa_force(isa) == 1)
    defer { mk_isa_force(-1) }
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(3)
    let (rows, stride) = (4, count + 3)
    var logits = (0..<rows * stride).map { _ in randoms.float() }
    var bounds = (0..<count).map { _ in abs(randoms.float()) * 0.1 }
    if count > 10 {
      (logits[3], logits[4], logits[5], bounds[6], bounds[7]) = (.nan, .infinity, -.infinity, .infinity, .nan)
    }
    let norms: [Float] = [0, 0.5, 3, 0.5]
    let floors: [Float] = [0.5, 0.7, 0.9, .infinity]
    var upper: [[Float]] = []
    for row in 0..<rows {
      upper.append(
        (0..<count).map { index in
          let logit = logits[row * stride + index]
          return logit + mk_screen_margin(logit, bounds[index], norms[row])
        })
    }
    let expected = (0..<rows).map { row in (0..<count).filter { !(upper[row][$0] < floors[row]) } }
    for most in [count, expected[1].count, max(expected[1].count - 1, 0)] {
      var indices = [mk_int](repeating: -1, count: max(most, 1) * rows)
      var counts = [mk_int](repeating: -1, count: rows)
      mk_screen_rows(pool, rows, count, logits, stride, bounds, norms, floors, most, &indices, &counts)
      for row in 0..<rows {
        #expect(counts[row] == min(expected[row].count, most + 1))
        if expected[row].count <= most {
          #expect(Array(indices[row * most..<row * most + expected[row].count]) == expected[row])
        }
      }
    }
  }

  @Test(arguments: CKernels.instructionSets) func singleRowsAreExact(isa: Int32) {
    #expect(mk_isa_force(isa) == 1)
    defer { mk_isa_force(-1) }
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(11)
    for (depth, count, taken) in [(1, 3, 1), (7, 20, 5), (64, 50, 17), (131, 90, 90), (768, 200, 33), (5, 4, 0)] {
      let stride = depth + 3
      let x = (0..<depth).map { _ in randoms.float() }
      let w = (0..<count * stride).map { _ in randoms.float() }
      let bias = (0..<count).map { _ in randoms.float() }
      let indices = (0..<taken).map { ($0 * 7 + 2) % count }
      for hasBias in [false, true] {
        var y = [Float](repeating: 99, count: taken + 1)
        // Every second row is copied on the way.
        var kept = [Float](repeating: 77, count: (taken + 1) * depth)
        bias.withUnsafeBufferPointer { bias in
          w.withUnsafeBufferPointer { w in
            kept.withUnsafeMutableBufferPointer { kept in
              let rows = indices.map { index in w.baseAddress.map { base in base + index * stride } }
              let copies = indices.indices.map { i in
                i % 2 == 0 ? kept.baseAddress.map { kept in kept + i * depth } : nil
              }
              mk_rows_at(pool, depth, x, taken, rows, copies, hasBias ? bias.baseAddress : nil, indices, &y)
            }
          }
        }
        for place in 0...taken {
          let copy = Array(kept[place * depth..<(place + 1) * depth])
          if place < taken && place % 2 == 0 {
            #expect(copy == Array(w[indices[place] * stride..<indices[place] * stride + depth]))
          } else {
            #expect(copy.allSatisfy { $0 == 77 })
          }
        }
        for (place, index) in indices.enumerated() {
          var sum = hasBias ? Double(bias[index]) : 0
          var magnitude = abs(sum)
          for p in 0..<depth {
            sum += Double(x[p]) * Double(w[index * stride + p])
            magnitude += abs(Double(x[p]) * Double(w[index * stride + p]))
          }
          // Rounded once to float32; the sums in double precision are in another order.
          #expect(abs(Double(y[place]) - sum) <= 0x1p-24 * abs(sum) + Double(depth + 2) * 0x1p-53 * magnitude)
        }
        #expect(y[taken] == 99)
      }
    }
  }
}
