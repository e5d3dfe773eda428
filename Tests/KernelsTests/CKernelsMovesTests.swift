import CKernels
import Testing

extension CKernels {
  @Test(arguments: [1, 2, 4, 8])
  func copiesAndTranspositions(size: Int) {
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    for round in 0..<60 {
      var randoms = Randoms(UInt64(round))
      let rank = randoms.int(0...(round % 10 == 0 ? 8 : 5))
      var shape = (0..<rank).map { _ in randoms.int(1...(rank > 5 ? 3 : 7)) }
      if round % 15 == 3, rank >= 2 {
        shape[rank - 1] = 70
        shape[0] = 70
      }
      let count = shape.reduce(1, *)
      guard count < 30_000 else { continue }
      let perm = (0..<rank).map { Int32($0) }.shuffled(using: &randoms)
      let x = [UInt8]((0..<max(count * size, 1)).map { _ in UInt8(truncatingIfNeeded: randoms.bits()) })
      var y = [UInt8](repeating: 0, count: x.count + 3)
      mk_transpose(round % 2 == 0 ? pool : nil, size, Int32(rank), shape, perm, x, &y)
      let outShape = perm.map { shape[Int($0)] }
      var wrong = 0
      for i in 0..<count {
        var (rest, index) = (i, [Int](repeating: 0, count: rank))
        for axis in (0..<rank).reversed() {
          index[Int(perm[axis])] = rest % outShape[axis]
          rest /= outShape[axis]
        }
        let from = zip(index, shape).reduce(0) { $0 * $1.1 + $1.0 }
        for b in 0..<size where x[from * size + b] != y[i * size + b] { wrong += 1 }
      }
      #expect(wrong == 0, "size \(size) \(shape) \(perm)")
      #expect(y.suffix(3) == [0, 0, 0])
    }
  }

  /// Slices, reversed axes, broadcasts and strided destinations.
  @Test(arguments: [1, 2, 4, 8])
  func stridedCopies(size: Int) {
    for round in 0..<150 {
      var randoms = Randoms(UInt64(round) + 1000)
      let rank = randoms.int(1...4)
      let shape = (0..<rank).map { _ in randoms.int(0...6) }
      // Source strides of any sign; a destination with gaps.
      let from = shape.map { _ in randoms.int(-9...9) }
      var to = [Int](repeating: 0, count: rank)
      var step = randoms.int(1...2)
      for axis in (0..<rank).shuffled(using: &randoms) {
        to[axis] = step
        step *= max(shape[axis], 1)
        step += randoms.int(0...2)
      }
      let low = zip(shape, from).reduce(0) { $0 + min(0, ($1.0 - 1) * $1.1) }
      let high = zip(shape, from).reduce(0) { $0 + max(0, ($1.0 - 1) * $1.1) }
      let x = [UInt8]((0..<(high - low + 10) * size).map { _ in UInt8(truncatingIfNeeded: randoms.bits()) })
      let length = (1 + zip(shape, to).reduce(0) { $0 + max(0, $1.0 - 1) * $1.1 }) * size
      var y = [UInt8](repeating: 7, count: length + 16)
      var expected = y
      let count = shape.reduce(1, *)
      for i in 0..<count {
        var (rest, source, target) = (i, -min(low, 0), 0)
        for axis in shape.indices.reversed() {
          source += rest % shape[axis] * from[axis]
          target += rest % shape[axis] * to[axis]
          rest /= shape[axis]
        }
        for b in 0..<size { expected[target * size + b] = x[source * size + b] }
      }
      x.withUnsafeBytes { x in
        y.withUnsafeMutableBytes { y in
          guard let source = x.baseAddress else { return }
          mk_copy_strided(
            nil, size, Int32(rank), shape, source + max(0, -low) * size, from, y.baseAddress, to)
        }
      }
      #expect(y == expected, "size \(size) \(shape) \(from) \(to)")
    }
  }

  @Test func gather() {
    let table: [UInt8] = (0..<35).map { UInt8($0) }
    var y = [UInt8](repeating: 99, count: 22)
    #expect(mk_gather_rows(nil, 1, table, 5, 7, [4, -5, 2], 3, &y) == 0)
    #expect(y == Array(28..<35) + Array(0..<7) + Array(14..<21) + [99])
    var untouched = [UInt8](repeating: 99, count: 22)
    #expect(mk_gather_rows(nil, 1, table, 5, 7, [4, 5, 2], 3, &untouched) == 2)
    #expect(mk_gather_rows(nil, 1, table, 5, 7, [4, 0, -6], 3, &untouched) == 3)
    #expect(mk_gather_rows(nil, 1, table, 5, 7, [.min, 0, 0], 3, &untouched) == 1)
    #expect(untouched.allSatisfy { $0 == 99 })
  }

  /// Many numbers of several tables, shared out among threads.
  @Test func gatherFromTables() {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    var randoms = Randoms(5)
    for width in [1, 3] {
      let table = (0..<3 * 50 * width).map { _ in Float(randoms.int(-1000...1000)) }
      let indices = (0..<70001).map { _ in Int64(randoms.int(-50...49)) }
      var y = [Float](repeating: .nan, count: 3 * indices.count * width)
      #expect(mk_gather_rows(pool, 3, table, 50, 4 * width, indices, indices.count, &y) == 0)
      let wrong = y.indices.filter { i in
        let (t, row, column) = (i / width / indices.count, Int(indices[i / width % indices.count]), i % width)
        return y[i] != table[(t * 50 + (row + 50) % 50) * width + column]
      }
      #expect(wrong.isEmpty)
    }
  }

  /// All 65536 halves and bfloats to float, and floats around every rounding boundary back.
  @Test(arguments: instructionSets)
  func halves(isa: Int32) {
    Self.with(isa) {
      let all = (0...UInt16.max).map { $0 }
      var floats = [Float](repeating: 0, count: all.count)
      mk_f16_to_f32(all, all.count, &floats)
      var wrong = 0
      for bits in all {
        let expected = Float(Float16(bitPattern: bits))
        let got = floats[Int(bits)]
        if expected.isNaN ? !got.isNaN : expected.bitPattern != got.bitPattern { wrong += 1 }
      }
      #expect(wrong == 0)
      var back = [UInt16](repeating: 0, count: all.count)
      mk_f32_to_f16(floats, all.count, &back)
      #expect(all.allSatisfy { floats[Int($0)].isNaN ? Float16(bitPattern: back[Int($0)]).isNaN : back[Int($0)] == $0 })

      var randoms = Randoms(3)
      for offset in [-1, 0, 1] {
        // Half-way between two neighbouring halves, and one float to each side of it.
        let x: [Float] = all.map { bits in
          let value = Float16(bitPattern: bits)
          let middle = (Float(value) + Float(value.nextUp)) / 2
          return offset < 0 ? middle.nextDown : offset > 0 ? middle.nextUp : middle
        }
        mk_f32_to_f16(x, x.count - 3, &back)
        wrong = 0
        for i in 0..<x.count - 3 {
          let expected = Float16(x[i])
          if expected.isNaN ? !Float16(bitPattern: back[i]).isNaN : expected.bitPattern != back[i] { wrong += 1 }
        }
        #expect(wrong == 0, "isa \(isa) offset \(offset)")
      }
      let x = (0..<5001).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: randoms.bits())) }
      mk_f32_to_f16(x, x.count, &back)
      #expect(x.indices.allSatisfy { x[$0].isNaN || Float16(x[$0]).bitPattern == back[$0] })

      mk_bf16_to_f32(all, all.count, &floats)
      #expect(all.allSatisfy { floats[Int($0)].bitPattern == UInt32($0) << 16 })
      mk_f32_to_bf16(x, x.count, &back)
      wrong = 0
      for i in x.indices {
        let bits = x[i].bitPattern
        let expected = UInt16(truncatingIfNeeded: (UInt64(bits) + 0x7FFF + UInt64((bits >> 16) & 1)) >> 16)
        let got = Float(bitPattern: UInt32(back[i]) << 16)
        if x[i].isNaN ? !got.isNaN : expected != back[i] { wrong += 1 }
      }
      #expect(wrong == 0)
    }
  }
}

extension Randoms: RandomNumberGenerator {
  mutating func next() -> UInt64 { bits() }
}
