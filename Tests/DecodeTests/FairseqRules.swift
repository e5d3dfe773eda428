@testable import Decode

#if canImport(Glibc)
  import Glibc
#endif

/// fairseq's beam search read literally from its definition: whole vocabularies of scores, minus infinity for what may not
/// come, `beams` slots that always go on, dead or not.
struct FairseqRules {
  let language: TinyLanguage
  var beams: Int
  var maxLen: Int
  var minLen = 1
  var penalty = 1.0
  var ngram = 0
  /// The tokens that may follow what was generated; nil for all.
  var allowed: (([Int]) -> [Int])?

  func search(_ sample: Int, prefix: [Int]) -> [(score: Double, tokens: [Int])] {
    var beamTokens = [[Int]](repeating: [], count: beams)
    var beamScores = [Double](repeating: 0, count: beams)
    var finalized: [(score: Double, tokens: [Int])] = []
    for step in 0...maxLen {
      var all: [(score: Double, beam: Int, token: Int)] = []
      for beam in 0..<(step == 0 ? 1 : beams) {
        let history = prefix + beamTokens[beam]
        let among = allowed?(beamTokens[beam])
        for token in 0..<language.vocabulary {
          var value = language.logProbability(token, sample, history, among: among)
          if let among, !among.contains(token) { value = -.infinity }
          if step < minLen, token == language.end { value = -.infinity }
          if token == language.pad { value = -.infinity }
          if step >= maxLen, token != language.end { value = -.infinity }
          if ngram > 0, repeats(history + [token]) { value = -.infinity }
          all.append((beamScores[beam] + value, beam, token))
        }
      }
      let candidates = Array(all.sorted { $0.score > $1.score }.prefix(2 * beams))
      for candidate in candidates.prefix(beams)
      where candidate.token == language.end && candidate.score > -.infinity && finalized.count < beams {
        let score = candidate.score / pow(Double(step + 1), penalty)
        finalized.append((score, beamTokens[candidate.beam] + [language.end]))
      }
      if finalized.count == beams || step == maxLen { break }
      let active = candidates.filter { $0.token != language.end || $0.score == -.infinity }.prefix(beams)
      beamTokens = active.map { beamTokens[$0.beam] + [$0.token] }
      beamScores = active.map(\.score)
      while beamTokens.count < beams {
        beamTokens.append(beamTokens[0])
        beamScores.append(-.infinity)
      }
    }
    return finalized.sorted { $0.score > $1.score }
  }

  /// Whether the last n-gram was there before.
  private func repeats(_ tokens: [Int]) -> Bool {
    guard tokens.count > ngram else { return false }
    let last = Array(tokens.suffix(ngram))
    return (0..<tokens.count - ngram).contains { Array(tokens[$0..<$0 + ngram]) == last }
  }
}
