/// Source: fairseq's NGramRepeatBlock and Hugging Face's NoRepeatNGramLogitsProcessor, which agree.
enum RepeatedNGrams {
  /// Adds to `found` the tokens that would complete a sequence of `size` tokens that `history` already has.
  ///
  /// - Complexity: O(history.count * size).
  static func addCompletions(of history: [Int], size: Int, to found: inout [Int]) {
    guard size > 0, history.count >= size else { return }
    let opening = history.suffix(size - 1)
    for start in 0...history.count - size where history[start..<start + size - 1].elementsEqual(opening) {
      let token = history[start + size - 1]
      if !found.contains(token) { found.append(token) }
    }
  }
}
