/// Source: fairseq's NGramRepeatBlock and Hugging Face's NoRepeatNGramLogitsProcessor, which agree.
enum RepeatedNGrams {
  /// The tokens that would complete a sequence of `size` tokens that `history` already has.
  ///
  /// - Complexity: O(history.count * size).
  static func completions(of history: [Int], size: Int) -> [Int] {
    guard size > 0, history.count >= size else { return [] }
    let opening = history.suffix(size - 1)
    var found: Set<Int> = []
    for start in 0...history.count - size where history[start..<start + size - 1].elementsEqual(opening) {
      found.insert(history[start + size - 1])
    }
    return found.sorted()
  }
}
