/// The paper's measure: the share of layers that did not run.
public enum ExpectedTimeReduction {
  /// ETR = 1 - sum_i w_i (n_E + n_D,i) / ((N_E + N_D) sum_i w_i), n_E = (p + q) / 2. Source: mue.md.
  ///
  /// - Parameters:
  ///   - image: layers run and layers in full; nil when the model has no such stream.
  ///   - decoder: the layers each token ran.
  /// - Returns: 0 when nothing was generated.
  public static func value(
    image: (run: Int, full: Int)?, text: (run: Int, full: Int)?, decoder: [Int], decoderDepth: Int
  ) -> Double {
    let streams = [image, text].compactMap { $0 }
    let count = Double(max(streams.count, 1))
    let run = Double(streams.reduce(0) { $0 + $1.run }) / count
    let full = Double(streams.reduce(0) { $0 + $1.full }) / count
    let tokens = Double(decoder.count)
    let total = (full + Double(decoderDepth)) * tokens
    guard total > 0 else { return 0 }
    let used = run * tokens + Double(decoder.reduce(0, +))
    return 1 - used / total
  }
}
