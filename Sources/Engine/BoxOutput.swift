import JSON
import Tensor
import Vision

/// How tokens `<bin_i>` stand for coordinates. Source: OFA, utils/eval_utils.py (eval_refcoco).
struct BoxOutput: Sendable {
  /// Number of bins.
  let bins: Int
  /// The side that the last bin stands for, in pixels of the resized picture.
  let maxImageSize: Double

  init(_ json: JSONNode) throws(MueError) {
    bins = try json["bins"]?.int(in: 2...1 << 20) ?? 1000
    maxImageSize = try json["max_image_size"]?.double() ?? 512
    guard maxImageSize > 0, maxImageSize.isFinite else { throw json.failure("max_image_size must be positive") }
  }

  /// The boxes that `tokens` say: four bins in a row each. Bins that are not four in a row are left out.
  ///
  /// - Parameters:
  ///   - tokens: as the vocabulary spells them.
  ///   - ratio: resized size divided by the picture's own, across and down.
  func boxes(_ tokens: [String?], ratio: (width: Double, height: Double)) -> [Box] {
    var boxes: [Box] = []
    var run: [Double] = []
    for token in tokens {
      guard let bin = token.flatMap(bin) else {
        run = []
        continue
      }
      run.append(Double(bin) / Double(bins - 1) * maxImageSize)
      guard run.count == 4 else { continue }
      boxes.append(
        Box(x0: run[0] / ratio.width, y0: run[1] / ratio.height, x1: run[2] / ratio.width, y1: run[3] / ratio.height))
      run = []
    }
    return boxes
  }

  private func bin(_ token: String) -> Int? {
    guard token.hasPrefix("<bin_"), token.hasSuffix(">"), let bin = Int(token.dropFirst(5).dropLast()), bin >= 0,
      bin < bins
    else { return nil }
    return bin
  }
}
