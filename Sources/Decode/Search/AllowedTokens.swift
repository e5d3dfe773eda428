import Tensor

/// The tokens that may come next, by what came before: a closed set of answers (a trie) or a set of tokens that may
/// come at any time.
///
/// A place is a number; every hypothesis starts at place 0 and moves with each token.
public final class AllowedTokens: Sendable, Equatable {
  private struct Place: Sendable {
    /// Ascending.
    var tokens: [Int] = []
    /// Where each of `tokens` leads.
    var next: [Int] = []
  }

  private let places: [Place]
  /// True for a set of answers, false for a set of tokens.
  public let isClosed: Bool
  /// The place after the end token of each answer.
  let ends: [Int]
  /// Tokens of the longest answer without its end token; 0 for a set of tokens.
  public let longest: Int

  private init(places: [Place], isClosed: Bool, ends: [Int], longest: Int) {
    self.places = places
    self.isClosed = isClosed
    self.ends = ends
    self.longest = longest
  }

  /// Nothing but one of `answers`, each followed by the end token.
  ///
  /// - Complexity: O(tokens of all answers).
  public convenience init(answers: [[Int]], endToken: Int) {
    var children: [[Int: Int]] = [[:]]
    var ends: [Int] = []
    for answer in answers {
      var place = 0
      for token in answer + [endToken] {
        if let known = children[place][token] {
          place = known
        } else {
          children[place][token] = children.count
          place = children.count
          children.append([:])
        }
      }
      ends.append(place)
    }
    let places = children.map { children in
      let sorted = children.sorted { $0.key < $1.key }
      return Place(tokens: sorted.map(\.key), next: sorted.map(\.value))
    }
    self.init(places: places, isClosed: true, ends: ends, longest: answers.map(\.count).max() ?? 0)
  }

  /// Any sequence of `tokens`, and the end token.
  public convenience init(tokens: some Sequence<Int>, endToken: Int) {
    let all = Set(tokens).union([endToken]).sorted()
    self.init(
      places: [Place(tokens: all, next: [Int](repeating: 0, count: all.count))], isClosed: false, ends: [], longest: 0)
  }

  /// Ascending.
  func tokens(at place: Int) -> [Int] { places[place].tokens }

  /// The place after `token`, nil when it may not come at `place`.
  ///
  /// - Complexity: O(log n).
  func place(after token: Int, at place: Int) -> Int? {
    let tokens = places[place].tokens
    var low = 0
    var high = tokens.count
    while low < high {
      let middle = (low + high) / 2
      if tokens[middle] < token { low = middle + 1 } else { high = middle }
    }
    return low < tokens.count && tokens[low] == token ? places[place].next[low] : nil
  }

  /// The place that `token`, the `index`-th of `tokens(at: place)`, leads to.
  func place(afterIndex index: Int, at place: Int) -> Int { places[place].next[index] }

  public static func == (left: AllowedTokens, right: AllowedTokens) -> Bool { left === right }
}
