import CKernels
import Foundation
import Testing

extension CKernels {
  private struct Case {
    var batch = 1, heads = 1, tq = 1, tk = 1, dqk = 8, dv = 8
    /// 0 none, 1 the same for all queries [B, 1, 1, Tk], 2 per head and query [1, H, Tq, Tk], 3 both, 4 two full ones,
    /// 5 two that are the same for all queries.
    var bias = 0
    /// Bias 0, which is then per head and query, comes in panels.
    var panels = false
    /// One more bias is looked up in a table; half of the indices run along with the queries.
    var table = false
    var ragged = false
    var pool: OpaquePointer?
    var seed: UInt64 = 1
  }

  private func check(
    _ isa: Int32, _ c: Case, hide: (_ batch: Int, _ query: Int, _ key: Int) -> Bool = { _, _, _ in false }
  ) {
    var randoms = Randoms(c.seed)
    let (qRow, kRow, vRow) = (c.dqk + randoms.int(0...3), c.dqk + randoms.int(0...3), c.dv + randoms.int(0...3))
    let outRow = c.dv + randoms.int(0...3)
    // Queries and outputs as [B, T, H, d], keys and values as [H, T, d] for each item.
    let q = randoms.floats(c.batch * c.tq * c.heads * qRow, -2, 2)
    let keys = (0..<c.batch).map { _ in randoms.floats(c.heads * c.tk * kRow, -2, 2) }
    let values = (0..<c.batch).map { _ in randoms.floats(c.heads * c.tk * vRow) }
    let out = Floats(c.batch * c.tq * c.heads * outRow)
    let lengths = (0..<c.batch).map { c.ragged ? max(0, c.tk - $0 * 3) : c.tk }

    var biases: [(floats: Floats, batch: Int, head: Int, row: Int)] = []
    func same() {
      let floats = randoms.floats(c.batch * c.tk)
      for b in 0..<c.batch {
        for j in 0..<c.tk where hide(b, -1, j) { floats[b * c.tk + j] = -.infinity }
      }
      biases.append((floats, c.tk, 0, 0))
    }
    func full() {
      let row = c.tk + (c.panels ? 0 : randoms.int(0...3))
      let floats = randoms.floats(c.heads * c.tq * row)
      for h in 0..<c.heads {
        for i in 0..<c.tq {
          for j in 0..<c.tk where hide(-1, i, j) { floats[(h * c.tq + i) * row + j] = -.infinity }
        }
      }
      biases.append((floats, 0, c.tq * row, row))
    }
    if c.panels { full() }
    if [1, 3, 5].contains(c.bias) { same() }
    if [2, 3, 4].contains(c.bias) { full() }
    if c.bias == 4 { full() }
    if c.bias == 5 { same() }
    let inPanels = ((c.tq + 15) / 16) * c.tk * 16
    let panels = Floats(c.panels ? c.heads * inPanels : 0)
    if c.panels { mk_attention_panels(c.pool, c.heads, c.tq, c.tk, biases[0].floats.p, panels.p) }
    let extent = c.tq + c.tk + 3
    let table = randoms.floats(c.heads * extent)
    var index = [Int32](repeating: 0, count: c.tq * c.tk)
    for i in 0..<c.tq {
      for j in 0..<c.tk {
        index[i * c.tk + j] = Int32(j % 2 == 0 ? i + c.tk - j : randoms.int(0...(extent - 1)))
      }
    }
    var indexPanels = [Int32](repeating: -1, count: inPanels)
    mk_attention_panels(c.pool, 1, c.tq, c.tk, index, &indexPanels)
    #expect(indexPanels.allSatisfy { $0 >= 0 && $0 < extent })
    let given = biases.count
    if c.table {
      let floats = Floats(c.heads * c.tq * c.tk)
      for h in 0..<c.heads {
        for at in index.indices { floats[h * c.tq * c.tk + at] = table[h * extent + Int(index[at])] }
      }
      biases.append((floats, 0, c.tq * c.tk, c.tk))
    }

    let scale: Float = 0.31
    let kPointers = keys.map { Optional(UnsafePointer($0.p)) }
    let vPointers = values.map { Optional(UnsafePointer($0.p)) }
    kPointers.withUnsafeBufferPointer { k in
      vPointers.withUnsafeBufferPointer { v in
        lengths.withUnsafeBufferPointer { lengths in
          var a = mk_attention_args()
          (a.batch, a.heads, a.tq, a.tk, a.dqk, a.dv) = (c.batch, c.heads, c.tq, c.tk, c.dqk, c.dv)
          a.scale = scale
          (a.q, a.q_batch, a.q_head, a.q_row) = (UnsafePointer(q.p), c.tq * c.heads * qRow, qRow, c.heads * qRow)
          (a.k, a.k_head, a.k_row) = (k.baseAddress, c.tk * kRow, kRow)
          (a.v, a.v_head, a.v_row) = (v.baseAddress, c.tk * vRow, vRow)
          if c.ragged { a.tk_per_batch = lengths.baseAddress }
          if c.panels {
            a.bias.0 = mk_attention_bias(p: panels.p, batch: 0, head: inPanels, row: 0)
            a.bias_in_panels = 1
          } else if given > 0 {
            let b = biases[0]
            a.bias.0 = mk_attention_bias(p: b.floats.p, batch: b.batch, head: b.head, row: b.row)
          }
          if given > 1 {
            let b = biases[1]
            a.bias.1 = mk_attention_bias(p: b.floats.p, batch: b.batch, head: b.head, row: b.row)
          }
          (a.out, a.out_batch, a.out_head, a.out_row) = (out.p, c.tq * c.heads * outRow, outRow, c.heads * outRow)
          if c.table { (a.table, a.table_head) = (UnsafePointer(table.p), extent) }
          let scratch = Bytes(mk_attention_scratch(c.pool, &a))
          indexPanels.withUnsafeBufferPointer { indices in
            if c.table { a.table_index = indices.baseAddress }
            mk_attention(c.pool, &a, scratch.base)
          }
          #expect(scratch.intact)
        }
      }
    }

    var worst = 0.0
    for b in 0..<c.batch {
      for h in 0..<c.heads {
        for i in 0..<c.tq {
          var scores: [Double] = []
          for j in 0..<lengths[b] {
            var dot = 0.0
            for p in 0..<c.dqk {
              dot += Double(q[((b * c.tq + i) * c.heads + h) * qRow + p]) * Double(keys[b][(h * c.tk + j) * kRow + p])
            }
            dot *= Double(scale)
            for bias in biases { dot += Double(bias.floats[b * bias.batch + h * bias.head + i * bias.row + j]) }
            scores.append(dot)
          }
          let top = scores.max() ?? -.infinity
          let weights = top == -.infinity ? scores.map { _ in 0 } : scores.map { exp($0 - top) }
          let sum = weights.reduce(0, +)
          for p in 0..<c.dv {
            var expected = 0.0
            for j in 0..<lengths[b] where weights[j] > 0 {
              expected += weights[j] / sum * Double(values[b][(h * c.tk + j) * vRow + p])
            }
            // Scores up to 4 * dqk * 0.31 carry dqk roundings, which the exponential turns into a relative error.
            let bound = 4e-6 + Double(c.dqk + c.tk) * 4e-7
            let error = abs(Double(out[((b * c.tq + i) * c.heads + h) * outRow + p]) - expected)
            worst = error <= bound ? max(worst, error / bound) : .infinity
          }
          for p in c.dv..<outRow where !out[((b * c.tq + i) * c.heads + h) * outRow + p].isNaN { worst = .infinity }
        }
      }
    }
    #expect(worst <= 1, "isa \(isa) \(c)")
    #expect(out.intact)
  }

  @Test(arguments: instructionSets)
  func attention(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(UInt64(isa) + 900)
    Self.with(isa) {
      for tq in 1...40 {
        var c = Case(
          batch: randoms.int(1...3), heads: randoms.int(1...3), tq: tq, tk: randoms.int(1...40),
          dqk: randoms.int(1...40), dv: randoms.int(1...40), bias: tq % 6, ragged: tq % 4 == 0, seed: UInt64(tq))
        c.pool = tq % 2 == 0 ? pool : nil
        check(isa, c)
      }
      // Several blocks of queries and of values, and head sizes that fill panels.
      check(isa, Case(heads: 2, tq: 49, tk: 49, dqk: 32, dv: 32, bias: 3, seed: 50))
      check(isa, Case(tq: 70, tk: 300, dqk: 16, dv: 48, bias: 2, pool: pool, seed: 51))
      check(isa, Case(batch: 2, tq: 1, tk: 523, dqk: 64, dv: 64, bias: 1, seed: 52))
      check(isa, Case(tq: 3, tk: 37, dqk: 64, dv: 128, bias: 4, seed: 53))
    }
  }

  /// Biases in panels and in tables, for few queries and for many, with and without a mask beside them.
  @Test(arguments: instructionSets)
  func attentionBiasesInPanels(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(UInt64(isa) + 950)
    Self.with(isa) {
      for tq in [1, 2, 3, 4, 7, 15, 16, 17, 31, 33, 48, 65, 130] {
        for kind in 1...3 {
          var c = Case(
            batch: randoms.int(1...2), heads: randoms.int(1...3), tq: tq, tk: randoms.int(1...40),
            dqk: randoms.int(1...20), dv: randoms.int(1...20), bias: tq % 2, panels: kind & 1 > 0,
            table: kind & 2 > 0, ragged: tq % 4 == 3, seed: UInt64(tq * 4 + kind))
          c.pool = tq % 2 == 0 ? pool : nil
          check(isa, c)
        }
      }
      // More keys than one block of them, more queries than one task takes together.
      check(isa, Case(heads: 2, tq: 150, tk: 403, dqk: 16, dv: 32, bias: 1, panels: true, table: true, seed: 970))
      check(isa, Case(tq: 70, tk: 200, dqk: 8, dv: 20, panels: true, pool: pool, seed: 971))
    }
  }

  /// Causal masks, hidden keys, and queries that see nothing: those give zeros.
  @Test(arguments: instructionSets)
  func attentionMasks(isa: Int32) {
    Self.with(isa) {
      for tq in [1, 2, 5, 17, 33] {
        check(isa, Case(heads: 2, tq: tq, tk: tq, dqk: 8, dv: 17, bias: 2, seed: 60)) { _, query, key in key > query }
        check(isa, Case(batch: 3, tq: tq, tk: 21, dqk: 8, dv: 16, bias: 1, seed: 61)) { batch, _, key in
          batch == 1 || key % 3 == batch
        }
        check(isa, Case(heads: 2, tq: tq, tk: 19, dqk: 8, dv: 5, bias: 3, seed: 62)) { batch, query, key in
          batch < 0 && query % 4 == 1 || batch >= 0 && key > 9
        }
        check(isa, Case(heads: 2, tq: tq, tk: 19, dqk: 8, dv: 5, bias: 1, panels: true, seed: 63)) {
          (batch, query, key) in batch < 0 && query % 4 == 1 || batch >= 0 && key > 9
        }
      }
      // Whole blocks of keys that a query does not see, before and behind those that it sees.
      for tq in [17, 70] {
        check(isa, Case(tq: tq, tk: 600, dqk: 8, dv: 16, bias: 2, seed: 64)) { _, query, key in
          query % 3 == 0 ? key < 410 : query % 3 == 1 ? key > 150 : true
        }
      }
    }
  }

  /// -1e9 and -FLT_MAX hide a key as well as -inf does, twice -FLT_MAX included; all alike hidden means all alike seen.
  @Test(arguments: instructionSets, [-1e9, -Float.greatestFiniteMagnitude])
  func attentionOfVeryNegativeBiases(isa: Int32, hidden: Float) {
    Self.with(isa) {
      for tq in [1, 20] {
        let (tk, d) = (11, 8)
        let q = Floats(tq * d, filledWith: 0)
        let k = Floats(tk * d, filledWith: 1)
        let v = Floats(tk * d)
        for j in 0..<tk { for p in 0..<d { v[j * d + p] = Float(j) } }
        let out = Floats(tq * d)
        for seen in [4, tk] {
          let bias = Floats(tk, filledWith: hidden)
          if seen < tk { for j in 0..<seen { bias[j] = 0 } }
          withUnsafePointer(to: Optional(UnsafePointer(k.p))) { kp in
            withUnsafePointer(to: Optional(UnsafePointer(v.p))) { vp in
              var a = mk_attention_args()
              (a.batch, a.heads, a.tq, a.tk, a.dqk, a.dv, a.scale) = (1, 1, tq, tk, d, d, 1)
              (a.q, a.q_row, a.k, a.k_row, a.v, a.v_row) = (UnsafePointer(q.p), d, kp, d, vp, d)
              (a.out, a.out_row) = (out.p, d)
              a.bias.0 = mk_attention_bias(p: bias.p, batch: 0, head: 0, row: 0)
              // Twice -FLT_MAX is -inf: only where something else is seen.
              if seen < tk { a.bias.1 = a.bias.0 }
              let scratch = Bytes(mk_attention_scratch(nil, &a))
              mk_attention(nil, &a, scratch.base)
            }
          }
          // The mean of 0..<seen.
          let mean = Float(seen - 1) / 2
          #expect((0..<tq * d).allSatisfy { abs(out[$0] - mean) < 1e-5 }, "tq \(tq) seen \(seen)")
        }
      }
    }
  }
}
