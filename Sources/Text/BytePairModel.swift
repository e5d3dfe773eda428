import JSON
import Tensor

/// Byte pair encoding (Sennrich et al. 2016, arXiv:1508.07909): a piece starts as its characters, and the pair that
/// was learnt first is merged until no pair is left.
struct BytePairModel: Sendable {
  let tokenIDs: [ByteString: Int32]
  /// The tokens of characters below U+0180, which is all that byte-level vocabularies start from; -1 for none.
  let latinIDs: [Int32]
  let merges: MergeTable
  let mergedIDs: [Int32]
  let unknownID: Int32?
  let fusesUnknown: Bool
  let ignoresMerges: Bool
  let continuingPrefix: String
  let endOfWordSuffix: String
  /// The tokens `<0x00>` to `<0xFF>`; empty when the model has no byte fallback. -1 for a missing one.
  let fallbackIDs: [Int32]

  func tokenID(_ token: String) -> Int32? { tokenIDs[ByteString(token)] }

  /// Appends the tokens of one piece. Time is O(n log n) in its length.
  func encode(_ piece: UnsafeBufferPointer<UInt8>, into ids: inout [Int]) {
    if ignoresMerges, let id = tokenIDs[ByteString(String(decoding: piece, as: UTF8.self))] {
      ids.append(Int(id))
      return
    }
    var word = MergingWord(symbols: symbols(of: piece))
    word.merge(by: merges, mergedIDs)
    word.appendSymbols(to: &ids)
  }

  /// The tokens of the characters of a piece.
  private func symbols(of piece: UnsafeBufferPointer<UInt8>) -> [Int32] {
    var symbols: [Int32] = []
    symbols.reserveCapacity(piece.count)
    var pendingUnknown: Int32?
    var position = 0
    while position < piece.count {
      let (scalar, length) = ScalarReader.scalar(in: piece, at: position)
      let isFirst = position == 0
      position += length
      if let id = symbol(scalar, isFirst: isFirst, isLast: position == piece.count) {
        if let unknown = pendingUnknown { symbols.append(unknown) }
        pendingUnknown = nil
        symbols.append(id)
      } else if let bytes = fallback(scalar, isFirst: isFirst, isLast: position == piece.count) {
        // The reference leaves an unknown token that waits here for later; so does this.
        symbols += bytes
      } else if let unknownID {
        if let unknown = pendingUnknown, !fusesUnknown { symbols.append(unknown) }
        pendingUnknown = unknownID
      }
    }
    if let unknown = pendingUnknown { symbols.append(unknown) }
    return symbols
  }

  private func spelling(_ scalar: Unicode.Scalar, isFirst: Bool, isLast: Bool) -> String {
    (isFirst ? "" : continuingPrefix) + String(Character(scalar)) + (isLast ? endOfWordSuffix : "")
  }

  @inline(__always)
  private func symbol(_ scalar: Unicode.Scalar, isFirst: Bool, isLast: Bool) -> Int32? {
    let isPlain = (isFirst || continuingPrefix.isEmpty) && (!isLast || endOfWordSuffix.isEmpty)
    if isPlain, scalar.value < 0x180 {
      let id = latinIDs[Int(scalar.value)]
      return id < 0 ? nil : id
    }
    return tokenIDs[ByteString(spelling(scalar, isFirst: isFirst, isLast: isLast))]
  }

  private func fallback(_ scalar: Unicode.Scalar, isFirst: Bool, isLast: Bool) -> [Int32]? {
    guard !fallbackIDs.isEmpty else { return nil }
    let ids = spelling(scalar, isFirst: isFirst, isLast: isLast).utf8.map { fallbackIDs[Int($0)] }
    return ids.contains(-1) ? nil : ids
  }
}
