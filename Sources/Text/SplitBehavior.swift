/// What becomes of the matches of a `SplitPattern`; named as in tokenizer.json.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  /// The pieces of a text whose parts, in order and without gaps, are `parts`; empty ones are left out.
  func pieces(of parts: [(range: Range<Int>, isMatch: Bool)]) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var previous = false
    switch self {
    case .isolated: pieces = parts.map(\.range)
    case .removed: pieces = parts.filter { !$0.isMatch }.map(\.range)
    case .contiguous:
      for part in parts {
        if part.isMatch == previous, let last = pieces.last {
          pieces[pieces.count - 1] = last.lowerBound..<part.range.upperBound
        } else {
          pieces.append(part.range)
        }
        previous = part.isMatch
      }
    case .mergedWithPrevious:
      for part in parts {
        if part.isMatch, !previous, let last = pieces.last {
          pieces[pieces.count - 1] = last.lowerBound..<part.range.upperBound
        } else {
          pieces.append(part.range)
        }
        previous = part.isMatch
      }
    case .mergedWithNext:
      for part in parts.reversed() {
        if part.isMatch, !previous, let last = pieces.last {
          pieces[pieces.count - 1] = part.range.lowerBound..<last.upperBound
        } else {
          pieces.append(part.range)
        }
        previous = part.isMatch
      }
      pieces.reverse()
    }
    return pieces.filter { !$0.isEmpty }
  }
}
