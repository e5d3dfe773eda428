@testable import Decode

#if canImport(Glibc)
  import Glibc
#endif

/// Arbitrary but fixed logits for every prefix of a few tokens, and their probabilities in double precision.
struct TinyLanguage {
  let vocabulary: Int
  let seed: Int
  var end: Int { vocabulary - 1 }
  let pad = 1

  func logits(_ sample: Int, _ prefix: [Int]) -> [Float] {
    var state = UInt64(sample &* 977 &+ 13 &+ seed &* 7919)
    for token in prefix {
      state = (state ^ UInt64(token &+ 1)) &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    }
    return (0..<vocabulary).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 22) - 2
    }
  }

  /// Normalised over `among`, or the whole vocabulary.
  func logProbability(_ token: Int, _ sample: Int, _ prefix: [Int], among: [Int]? = nil) -> Double {
    let logits = logits(sample, prefix).map(Double.init)
    let normalizer = log((among ?? Array(0..<vocabulary)).reduce(0) { $0 + exp(logits[$1]) })
    return logits[token] - normalizer
  }

  func decoder(samples: Int) -> ScriptedDecoder {
    ScriptedDecoder(samples: samples, vocabulary: vocabulary) { logits($0, $1) }
  }

  func options(beams: Int, length: Int) -> SearchOptions {
    var options = SearchOptions(maxTokens: length, endToken: end)
    options.beams = beams
    options.hypotheses = beams
    options.padToken = pad
    return options
  }
}
