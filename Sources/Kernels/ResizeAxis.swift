import Tensor

/// How one axis is resampled: for every output position the input positions it reads, and their weights.
struct ResizeAxis {
  let inputLength: Int
  let outputLength: Int
  /// Taps per output position.
  let taps: Int
  /// `outputLength * taps`, position after position.
  let positions: [Int]
  let weights: [Float]
  /// Output positions that lie outside the input (tf_crop_and_resize only).
  let outside: [Bool]

  enum Mode: String { case nearest, linear, cubic }

  struct Options {
    var mode = Mode.nearest
    var coordinates = "half_pixel"
    var nearest = "round_prefer_floor"
    var cubicCoefficient = -0.75
    var excludesOutside = false
    var antialiases = false
  }

  /// - Parameters:
  ///   - scale: output over input length as the model gives it, or their quotient.
  ///   - region: start and end of the crop in 0...1, for tf_crop_and_resize.
  init(
    _ inputLength: Int, _ outputLength: Int, scale: Double, region: (Double, Double), _ options: Options
  ) throws(MueError) {
    self.inputLength = inputLength
    self.outputLength = outputLength
    var positions: [Int] = []
    var weights: [Float] = []
    var outside: [Bool] = []
    // Antialiasing widens the filter when the axis shrinks.
    let spread = options.antialiases && scale < 1 ? 1 / scale : 1
    let radius: Double =
      switch options.mode {
      case .nearest: 0
      case .linear: spread
      case .cubic: 2 * spread
      }
    let taps: Int
    switch options.mode {
    case .nearest: taps = 1
    case .linear, .cubic:
      guard radius < Double(Int32.max) else { throw MueError(.limitExceeded, "a scale of \(scale)") }
      taps = 2 * Int(radius.rounded(.up))
    }
    _ = try Shape.elementCount([outputLength, taps])
    positions.reserveCapacity(outputLength * taps)
    for index in 0..<outputLength {
      let x = try Self.coordinate(
        Double(index), Double(inputLength), outputLength, scale, region, options.coordinates)
      guard x.isFinite, abs(x) < 0x1p50 else { throw MueError(.invalidModel, "a scale of \(scale)") }
      outside.append(options.coordinates == "tf_crop_and_resize" && (x < 0 || x > Double(inputLength - 1)))
      if options.mode == .nearest {
        positions.append(min(max(try Self.nearest(x, options.nearest), 0), inputLength - 1))
        weights.append(1)
        continue
      }
      let first = Int(x.rounded(.down)) - taps / 2 + 1
      var row = [Double](repeating: 0, count: taps)
      for tap in 0..<taps {
        let position = first + tap
        if options.excludesOutside, position < 0 || position >= inputLength { continue }
        row[tap] = Self.filter((Double(position) - x) / spread, options)
      }
      let total = row.reduce(0, +)
      for tap in 0..<taps {
        positions.append(min(max(first + tap, 0), inputLength - 1))
        weights.append(Float(total == 0 ? 0 : row[tap] / total))
      }
    }
    self.taps = taps
    self.positions = positions
    self.weights = weights
    self.outside = outside
  }

  private static func filter(_ distance: Double, _ options: Options) -> Double {
    let x = abs(distance)
    if options.mode == .linear { return max(0, 1 - x) }
    let a = options.cubicCoefficient
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
  }

  private static func nearest(_ x: Double, _ mode: String) throws(MueError) -> Int {
    switch mode {
    case "round_prefer_floor": return Int((x - 0.5).rounded(.up))
    case "round_prefer_ceil": return Int((x + 0.5).rounded(.down))
    case "floor": return Int(x.rounded(.down))
    case "ceil": return Int(x.rounded(.up))
    default: throw MueError(.unsupported, "nearest mode '\(mode)'", at: .init(field: "nearest_mode"))
    }
  }

  private static func coordinate(
    _ x: Double, _ input: Double, _ count: Int, _ scale: Double, _ region: (Double, Double), _ mode: String
  ) throws(MueError) -> Double {
    // The exact length, not rounded down to whole elements, is what ONNX's own cases expect.
    let output = input * scale
    switch mode {
    case "half_pixel": return (x + 0.5) / scale - 0.5
    case "half_pixel_symmetric":
      // The output length may be rounded: what is lost is cut off evenly at both ends.
      let adjustment = Double(count) / output
      return input / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    case "pytorch_half_pixel": return count > 1 ? (x + 0.5) / scale - 0.5 : 0
    case "align_corners": return output > 1 && count > 1 ? x * (input - 1) / (output - 1) : 0
    case "asymmetric": return x / scale
    case "tf_crop_and_resize":
      return output > 1 && count > 1
        ? region.0 * (input - 1) + x * (region.1 - region.0) * (input - 1) / (output - 1)
        : 0.5 * (region.0 + region.1) * (input - 1)
    default:
      throw MueError(
        .unsupported, "coordinate transformation '\(mode)'", at: .init(field: "coordinate_transformation_mode"))
    }
  }
}
