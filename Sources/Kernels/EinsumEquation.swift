import Tensor

/// An einsum equation, parsed against the ranks of its operands: every axis has a label, ellipses included.
struct EinsumEquation {
  /// Labels of each operand's axes and of the output's.
  let operands: [[Int]]
  let output: [Int]
  /// The extent of each label.
  let extents: [Int: Int]

  init(_ text: String, _ shapes: [[Int]]) throws(MueError) {
    var sides: [[UInt8]] = [[]]
    var previous: UInt8 = 0
    for byte in text.utf8 where byte != UInt8(ascii: " ") {
      if byte == UInt8(ascii: ">"), previous == UInt8(ascii: "-") {
        sides[sides.count - 1].removeLast()
        sides.append([])
      } else {
        sides[sides.count - 1].append(byte)
      }
      previous = byte
    }
    let terms = sides[0].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Array($0) }
    guard sides.count <= 2, terms.count == shapes.count else {
      throw MueError(.invalidModel, "equation '\(text)' for \(shapes.count) operands", at: .init(field: "equation"))
    }
    // Axes of the ellipsis are numbered from its end, so that they line up as broadcasting does.
    var hiddenRank = 0
    var operands: [[Int]] = []
    for (term, shape) in zip(terms, shapes) {
      let labels = try Self.labels(term, rank: shape.count, text)
      hiddenRank = max(hiddenRank, labels.filter { $0 < 0 }.count)
      operands.append(labels)
    }
    var extents: [Int: Int] = [:]
    for (labels, shape) in zip(operands, shapes) {
      for (label, extent) in zip(labels, shape) {
        let known = extents[label] ?? 1
        guard known == extent || known == 1 || extent == 1 else {
          throw MueError(.invalidModel, "a label of '\(text)' is both \(known) and \(extent)")
        }
        extents[label] = known == 1 ? extent : known
      }
    }
    if sides.count == 2 {
      output = try Self.labels(sides[1], rank: nil, text, hiddenRank: hiddenRank)
      guard Set(output).count == output.count, output.allSatisfy({ extents[$0] != nil }) else {
        throw MueError(.invalidModel, "the output of '\(text)' is not made of its inputs", at: .init(field: "equation"))
      }
    } else {
      // Implicit form: the ellipsis, then every label that occurs once, in alphabetical order.
      var counts: [Int: Int] = [:]
      for label in operands.joined() { counts[label, default: 0] += 1 }
      output = (0..<hiddenRank).map { $0 - hiddenRank } + counts.keys.filter { $0 >= 0 && counts[$0] == 1 }.sorted()
    }
    self.operands = operands
    self.extents = extents
  }

  /// The label numbers of one term: letters by their code, ellipsis axes -n ... -1.
  private static func labels(
    _ term: [UInt8], rank: Int?, _ text: String, hiddenRank: Int = 0
  ) throws(MueError) -> [Int] {
    var labels: [Int] = []
    var index = 0
    let letters = term.filter { $0 != UInt8(ascii: ".") }.count
    var hasEllipsis = false
    while index < term.count {
      let byte = term[index]
      if byte == UInt8(ascii: "."), !hasEllipsis, term[index...].starts(with: [byte, byte, byte]) {
        let hidden = rank.map { $0 - letters } ?? hiddenRank
        if hidden > 0 { labels += (0..<hidden).map { $0 - hidden } }
        hasEllipsis = true
        index += 3
        continue
      }
      let isLetter = (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
      guard isLetter else {
        throw MueError(.invalidModel, "equation '\(text)' is malformed", at: .init(field: "equation"))
      }
      labels.append(Int(byte))
      index += 1
    }
    guard rank == nil || labels.count == rank else {
      throw MueError(.invalidModel, "a term of '\(text)' does not have rank \(rank ?? 0)", at: .init(field: "equation"))
    }
    return labels
  }

  var outputShape: [Int] { output.map { extents[$0] ?? 1 } }

  /// Labels that are summed over.
  var summed: [Int] {
    var seen = Set(output)
    var labels: [Int] = []
    for label in operands.joined() where seen.insert(label).inserted { labels.append(label) }
    return labels
  }
}
