import CKernels
import Foundation
import Testing

/// One convolution of random numbers.
private struct ConvolutionRun {
  let x: Floats
  let w: Floats
  let y: Floats
  private let bias: Floats?
  private let residual: Floats?
  private let packed: Bytes
  private let scratch: Bytes

  /// - Parameter residual: 0 for none, 1 for one of its own, 2 for what is in the output.
  init(
    _ shape: mk_conv_shape, activation: mk_activation, withBias: Bool, residual kind: Int, pool: OpaquePointer?,
    seed: UInt64
  ) {
    var s = shape
    var randoms = Randoms(seed)
    x = randoms.floats(s.batch * s.channels * s.height * s.width)
    w = randoms.floats(s.out_channels * (s.channels / s.groups) * s.kernel_h * s.kernel_w)
    bias = withBias ? randoms.floats(s.out_channels) : nil
    let count = s.batch * s.out_channels * s.out_height * s.out_width
    y = randoms.floats(count)
    residual = kind == 1 ? randoms.floats(count) : kind == 2 ? y.copy() : nil
    packed = Bytes(mk_conv_packed_bytes(MK_WEIGHTS_F32, &s))
    mk_conv_pack(pool, MK_WEIGHTS_F32, &s, w.p, packed.base)
    scratch = Bytes(mk_conv_scratch(pool, MK_WEIGHTS_F32, &s))
    mk_conv(
      pool, MK_WEIGHTS_F32, &s, x.p, packed.base, bias?.p, activation,
      kind == 2 ? UnsafePointer(y.p) : residual.map { UnsafePointer($0.p) },
      y.p, scratch.base)
  }

  /// Bias and residual of an output.
  func start(_ at: Int, channel: Int) -> Double { Double(bias?[channel] ?? 0) + Double(residual?[at] ?? 0) }

  var isIntact: Bool { y.intact && packed.intact && scratch.intact }
}

extension CKernels {
  private static func shape(
    batch: Int = 1, _ channels: Int, _ height: Int, _ width: Int, to out: Int, kernel: (Int, Int),
    stride: (Int, Int) = (1, 1),
    dilation: (Int, Int) = (1, 1), pads: (top: Int, left: Int, bottom: Int, right: Int) = (0, 0, 0, 0), groups: Int = 1
  ) -> mk_conv_shape? {
    let h = height + pads.top + pads.bottom - dilation.0 * (kernel.0 - 1) - 1
    let w = width + pads.left + pads.right - dilation.1 * (kernel.1 - 1) - 1
    guard h >= 0, w >= 0 else { return nil }
    return mk_conv_shape(
      batch: batch, channels: channels, height: height, width: width, out_channels: out, out_height: h / stride.0 + 1,
      out_width: w / stride.1 + 1, kernel_h: kernel.0, kernel_w: kernel.1, stride_h: stride.0, stride_w: stride.1,
      dilation_h: dilation.0, dilation_w: dilation.1, pad_top: pads.top, pad_left: pads.left, groups: groups)
  }

  /// The input elements under kernel position (u, t) of output (i, j), nil in the padding.
  private static func element(_ s: mk_conv_shape, _ i: Int, _ j: Int, _ u: Int, _ t: Int) -> Int? {
    let y = i * s.stride_h - s.pad_top + u * s.dilation_h
    let x = j * s.stride_w - s.pad_left + t * s.dilation_w
    return y < 0 || y >= s.height || x < 0 || x >= s.width ? nil : y * s.width + x
  }

  private func check(
    _ isa: Int32, _ shape: mk_conv_shape, activation: mk_activation, withBias: Bool, residual kind: Int,
    pool: OpaquePointer?, seed: UInt64
  ) {
    let s = shape
    let inGroup = s.channels / s.groups
    let outGroup = s.out_channels / s.groups
    let plane = s.height * s.width
    let kernel = s.kernel_h * s.kernel_w
    let run = ConvolutionRun(s, activation: activation, withBias: withBias, residual: kind, pool: pool, seed: seed)
    let (x, w, y) = (run.x, run.w, run.y)
    var worst = 0.0
    var at = 0
    for b in 0..<s.batch {
      for o in 0..<s.out_channels {
        for i in 0..<s.out_height {
          for j in 0..<s.out_width {
            var sum = run.start(at, channel: o)
            var magnitude = abs(sum) + 2
            for u in 0..<s.kernel_h {
              for t in 0..<s.kernel_w {
                guard let e = Self.element(s, i, j, u, t) else { continue }
                for c in 0..<inGroup {
                  let product =
                    Double(x[(b * s.channels + o / outGroup * inGroup + c) * plane + e])
                    * Double(w[(o * inGroup + c) * kernel + u * s.kernel_w + t])
                  sum += product
                  magnitude += abs(product)
                }
              }
            }
            let bound = 1.13 * productBound(inGroup * kernel, magnitude) + 5e-7 * magnitude
            let error = abs(Double(y[at]) - Self.activated(activation, sum))
            worst = error <= bound ? max(worst, error / bound) : .infinity
            at += 1
          }
        }
      }
    }
    #expect(worst <= 1, "isa \(isa) \(s) activation \(activation) residual \(kind)")
    #expect(run.isIntact)
  }

  @Test(arguments: instructionSets)
  func convolution(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      for round in 0..<120 {
        var randoms = Randoms(UInt64(round) + 33)
        let groups = round % 4 == 0 ? randoms.int(2...4) : 1
        let depthwise = round % 6 == 5
        let channels = depthwise ? randoms.int(2...6) : groups * randoms.int(1...6)
        let out = depthwise ? channels : groups * randoms.int(1...(round % 3 == 0 ? 30 : 9))
        let kernel = round % 5 == 0 ? (1, 1) : (randoms.int(1...4), randoms.int(1...4))
        let strided = round % 5 == 0 && round % 2 == 0
        let shape = Self.shape(
          batch: randoms.int(1...2), channels, randoms.int(1...20), randoms.int(1...40), to: out, kernel: kernel,
          stride: strided ? (1, 1) : (randoms.int(1...3), randoms.int(1...3)),
          dilation: round % 7 == 0 ? (randoms.int(1...3), randoms.int(1...3)) : (1, 1),
          pads: strided
            ? (0, 0, 0, 0) : (randoms.int(0...3), randoms.int(0...3), randoms.int(0...3), randoms.int(0...3)),
          groups: depthwise ? channels : groups)
        guard let shape else { continue }
        check(
          isa, shape, activation: Self.activations[round % 7], withBias: round % 2 == 0, residual: round % 3,
          pool: round % 4 < 2 ? pool : nil, seed: UInt64(round))
      }
      // Depth in two blocks, with the residual in the output; the stem and the maps of a residual network, thinner.
      if let deep = Self.shape(45, 9, 9, to: 14, kernel: (3, 3), pads: (1, 1, 1, 1)) {
        check(isa, deep, activation: MK_ACT_RELU, withBias: true, residual: 2, pool: nil, seed: 1)
        check(isa, deep, activation: MK_ACT_RELU, withBias: true, residual: 1, pool: pool, seed: 2)
      }
      if let stem = Self.shape(3, 40, 40, to: 16, kernel: (7, 7), stride: (2, 2), pads: (3, 3, 3, 3)) {
        check(isa, stem, activation: MK_ACT_RELU, withBias: true, residual: 0, pool: pool, seed: 3)
      }
      if let small = Self.shape(70, 7, 7, to: 33, kernel: (1, 1)) {
        check(isa, small, activation: MK_ACT_NONE, withBias: true, residual: 1, pool: pool, seed: 4)
      }
      if let depthwise = Self.shape(5, 30, 61, to: 5, kernel: (3, 3), stride: (2, 2), pads: (0, 0, 1, 1), groups: 5) {
        check(isa, depthwise, activation: MK_ACT_SILU, withBias: true, residual: 0, pool: pool, seed: 5)
      }
    }
  }

  /// Kernels with tiles of their own and others, strides and dilations of both axes, planes of one strip and of several.
  @Test(arguments: instructionSets)
  func depthwiseConvolution(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      for round in 0..<96 {
        var randoms = Randoms(UInt64(round) + 44)
        let side = [3, 5, 7, 3, 1, 2, 4, 9][round % 8]
        let channels = randoms.int(2...5)
        let square = round % 3 != 0
        let stride = round % 5 == 4 ? 3 : round % 2 + 1
        let shape = Self.shape(
          batch: randoms.int(1...3), channels, randoms.int(1...25), randoms.int(1...75), to: channels,
          kernel: (side, square ? side : randoms.int(1...5)), stride: (stride, square ? stride : randoms.int(1...4)),
          dilation: round % 11 == 0 ? (randoms.int(1...3), randoms.int(1...3)) : (1, 1),
          pads: (randoms.int(0...side), randoms.int(0...side), randoms.int(0...side), randoms.int(0...side)),
          groups: channels)
        guard let shape else { continue }
        check(
          isa, shape, activation: Self.activations[round % 7], withBias: round % 2 == 0, residual: round % 3,
          pool: round % 4 < 2 ? pool : nil, seed: UInt64(round))
      }
      if let wide = Self.shape(batch: 2, 2, 9, 1501, to: 2, kernel: (3, 3), pads: (1, 1, 1, 1), groups: 2) {
        check(isa, wide, activation: MK_ACT_RELU, withBias: true, residual: 1, pool: nil, seed: 1)
      }
      if let high = Self.shape(3, 300, 130, to: 3, kernel: (5, 5), stride: (2, 2), pads: (2, 2, 2, 2), groups: 3) {
        check(isa, high, activation: MK_ACT_SILU, withBias: true, residual: 2, pool: pool, seed: 2)
      }
    }
  }

  /// Taps far apart cost no more scratch than near ones.
  @Test func depthwiseScratchIsBounded() {
    let far = 1 << 30
    guard
      var s = Self.shape(
        4, 3, 5, to: 4, kernel: (3, 3), stride: (far, far), dilation: (far, far), pads: (far, far, far, far), groups: 4)
    else { return #expect(Bool(false)) }
    #expect(mk_conv_scratch(nil, MK_WEIGHTS_F32, &s) < 1 << 16)
    check(0, s, activation: MK_ACT_NONE, withBias: true, residual: 0, pool: nil, seed: 3)
  }

  /// Winograd's method adds whole tiles of input, so each output's error is bounded by the norms of the weights and of the
  /// patches that its tile of 4 x 4 sees (one of 2 x 2 sees less); on the whole it is small beside the sums' terms.
  private func checkTiled(
    _ isa: Int32, _ shape: mk_conv_shape, activation: mk_activation, withBias: Bool, residual kind: Int,
    pool: OpaquePointer?, seed: UInt64
  ) {
    let s = shape
    let plane = s.height * s.width
    let run = ConvolutionRun(s, activation: activation, withBias: withBias, residual: kind, pool: pool, seed: seed)
    let (x, w, y) = (run.x, run.w, run.y)
    let weightNorms = (0..<s.out_channels).map { channel in
      (0..<s.channels * 9).reduce(0.0) { sum, tap in
        let weight = Double(w[channel * s.channels * 9 + tap])
        return sum + weight * weight
      }.squareRoot()
    }
    var (worst, at, squaredErrors, squaredSums) = (0.0, 0, 0.0, 0.0)
    for b in 0..<s.batch {
      // x squared, summed over the patches of each tile.
      let tiles = ((s.out_height + 3) / 4, (s.out_width + 3) / 4)
      var patches = [Double](repeating: 0, count: tiles.0 * tiles.1)
      for c in 0..<s.channels {
        for tile in 0..<tiles.0 * tiles.1 {
          for u in 0..<6 {
            for t in 0..<6 {
              guard let e = Self.element(s, tile / tiles.1 * 4, tile % tiles.1 * 4, u, t) else { continue }
              let value = Double(x[(b * s.channels + c) * plane + e])
              patches[tile] += value * value
            }
          }
        }
      }
      for o in 0..<s.out_channels {
        for i in 0..<s.out_height {
          for j in 0..<s.out_width {
            let start = run.start(at, channel: o)
            var (sum, squares) = (start, start * start)
            let norms = patches[i / 4 * tiles.1 + j / 4].squareRoot() * weightNorms[o]
            for c in 0..<s.channels {
              for u in 0..<3 {
                for t in 0..<3 {
                  guard let e = Self.element(s, i, j, u, t) else { continue }
                  let product =
                    Double(x[(b * s.channels + c) * plane + e]) * Double(w[(o * s.channels + c) * 9 + u * 3 + t])
                  sum += product
                  squares += product * product
                }
              }
            }
            let error = abs(Double(y[at]) - Self.activated(activation, sum))
            let bound = productBound(s.channels + 22, 94 * norms + abs(start) + 2)
            worst = error <= bound ? max(worst, error / bound) : .infinity
            squaredErrors += error * error
            squaredSums += squares
            at += 1
          }
        }
      }
    }
    let spread = (squaredErrors / max(squaredSums, 1e-30)).squareRoot()
    #expect(worst <= 1, "isa \(isa) \(s) activation \(activation) residual \(kind)")
    #expect(spread <= 0x1p-23 * (Double(s.channels).squareRoot() + 2), "isa \(isa) \(s): \(spread)")
    #expect(run.isIntact)
  }

  @Test(arguments: instructionSets)
  func convolutionByTiles(isa: Int32) {
    let pool = mk_pool_create(3)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      for round in 0..<14 {
        var randoms = Randoms(UInt64(round) + 77)
        let shape = Self.shape(
          batch: randoms.int(1...2), randoms.int(32...50), randoms.int(1...21), randoms.int(1...21),
          to: randoms.int(32...50), kernel: (3, 3),
          pads: (randoms.int(0...3), randoms.int(0...3), randoms.int(0...3), randoms.int(0...3)))
        guard let shape else { continue }
        checkTiled(
          isa, shape, activation: round % 2 == 0 ? MK_ACT_RELU : Self.activations[round % 7], withBias: round % 3 != 0,
          residual: round % 3, pool: round % 4 < 2 ? pool : nil, seed: UInt64(round))
      }
      // Tiles of a row in several tasks; more channels than a task's cache takes at its largest.
      if let wide = Self.shape(33, 5, 301, to: 32, kernel: (3, 3), pads: (1, 1, 1, 1)) {
        checkTiled(isa, wide, activation: MK_ACT_RELU, withBias: true, residual: 0, pool: pool, seed: 20)
      }
      if let deep = Self.shape(300, 9, 15, to: 37, kernel: (3, 3), pads: (1, 1, 1, 1)) {
        checkTiled(isa, deep, activation: MK_ACT_NONE, withBias: true, residual: 1, pool: pool, seed: 21)
      }
    }
  }

  @Test func pooling() {
    for round in 0..<80 {
      var randoms = Randoms(UInt64(round))
      let channels = randoms.int(1...3)
      let shape = Self.shape(
        batch: 2, channels, randoms.int(1...15), randoms.int(1...15), to: channels,
        kernel: (randoms.int(1...4), randoms.int(1...4)), stride: (randoms.int(1...3), randoms.int(1...3)),
        dilation: (randoms.int(1...2), randoms.int(1...2)), pads: (randoms.int(0...2), randoms.int(0...2), 1, 2))
      guard var s = shape else { continue }
      let plane = s.height * s.width
      let x = randoms.floats(2 * channels * plane)
      let count = 2 * channels * s.out_height * s.out_width
      let (top, mean, all) = (Floats(count), Floats(count), Floats(count))
      mk_max_pool(nil, &s, x.p, top.p)
      mk_average_pool(nil, &s, 0, x.p, mean.p)
      mk_average_pool(nil, &s, 1, x.p, all.p)
      var at = 0
      for p in 0..<2 * channels {
        for i in 0..<s.out_height {
          for j in 0..<s.out_width {
            let seen = (0..<s.kernel_h).flatMap { u in
              (0..<s.kernel_w).compactMap { t in Self.element(s, i, j, u, t).map { Double(x[p * plane + $0]) } }
            }
            let sum = seen.reduce(0, +)
            #expect(Double(top[at]) == seen.max() ?? -.infinity)
            #expect(abs(Double(mean[at]) - (seen.isEmpty ? 0 : sum / Double(seen.count))) < 1e-6)
            #expect(abs(Double(all[at]) - sum / Double(s.kernel_h * s.kernel_w)) < 1e-6)
            at += 1
          }
        }
      }
      #expect(top.intact && mean.intact && all.intact)
    }
  }
}
