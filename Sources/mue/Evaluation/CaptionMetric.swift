#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// CIDEr-D. Source: Vedantam, Zitnick, Parikh, "CIDEr: Consensus-based Image Description Evaluation", CVPR 2015.
///
///     CIDEr-D(c, S) = 10 / 4 * sum over n = 1...4 of the mean over references s of
///                     exp(-(l(c) - l(s))^2 / (2 sigma^2)) * min(g_n(c), g_n(s)) . g_n(s) / (|g_n(c)| |g_n(s)|)
///
/// g_n are the tf-idf vectors of n-grams, the idf from the references of all pictures, sigma = 6. Words are what white
/// space divides: captions are compared as they stand, without the tokenizer of the COCO tools.
struct CaptionMetric {
  private static let sigma = 6.0
  private static let orders = 4

  /// In how many pictures' references an n-gram occurs.
  private var frequency: [[Substring]: Int] = [:]
  private let logPictures: Double

  /// `corpus`: the references of each picture.
  init(corpus: [[String]]) {
    logPictures = log(Double(max(corpus.count, 1)))
    for references in corpus {
      var seen = Set<[Substring]>()
      for reference in references {
        let words = Self.words(reference)
        for order in 1...Self.orders { seen.formUnion(Self.grams(words, order).keys) }
      }
      for gram in seen { frequency[gram, default: 0] += 1 }
    }
  }

  /// 0 to 10; papers print it times 100 (a perfect score is about 1000).
  func score(_ caption: String, references: [String]) -> Double {
    guard !references.isEmpty else { return 0 }
    let words = Self.words(caption)
    let vectors = (1...Self.orders).map { vector(words, $0) }
    var total = 0.0
    for reference in references {
      let other = Self.words(reference)
      let gap = Double(words.count - other.count)
      let penalty = exp(-gap * gap / (2 * Self.sigma * Self.sigma))
      var similarity = 0.0
      for order in 1...Self.orders { similarity += Self.clippedCosine(vectors[order - 1], vector(other, order)) }
      total += penalty * similarity / Double(Self.orders)
    }
    return 10 * total / Double(references.count)
  }

  private func vector(_ words: [Substring], _ order: Int) -> [[Substring]: Double] {
    var vector: [[Substring]: Double] = [:]
    for (gram, count) in Self.grams(words, order) {
      vector[gram] = Double(count) * (logPictures - log(Double(max(frequency[gram] ?? 0, 1))))
    }
    return vector
  }

  private static func clippedCosine(_ candidate: [[Substring]: Double], _ reference: [[Substring]: Double]) -> Double {
    func norm(_ vector: [[Substring]: Double]) -> Double { vector.values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let norms = norm(candidate) * norm(reference)
    guard norms > 0 else { return 0 }
    var product = 0.0
    for (gram, value) in reference { product += min(candidate[gram] ?? 0, value) * value }
    return product / norms
  }

  private static func words(_ text: String) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }

  private static func grams(_ words: [Substring], _ order: Int) -> [[Substring]: Int] {
    var counts: [[Substring]: Int] = [:]
    guard words.count >= order else { return counts }
    for start in 0...(words.count - order) { counts[Array(words[start..<(start + order)]), default: 0] += 1 }
    return counts
  }
}
