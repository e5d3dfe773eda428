/// A text that is cut into pieces, in one block of UTF-8 bytes; no piece is empty.
struct Pieces {
  private(set) var bytes: [UInt8] = []
  private var ends: [Int] = []

  init() {}

  /// One piece, or none for an empty text.
  init(whole bytes: [UInt8]) {
    append(bytes)
  }

  var count: Int { ends.count }

  /// Adds a piece unless it is empty.
  mutating func append(_ piece: some Sequence<UInt8>) {
    bytes.append(contentsOf: piece)
    endPiece()
  }

  /// Adds a character to the piece that is being built.
  mutating func extend(by scalar: Unicode.Scalar) {
    bytes.append(scalar)
  }

  /// Ends the piece that is being built, unless it is empty.
  mutating func endPiece() {
    if bytes.count > (ends.last ?? 0) { ends.append(bytes.count) }
  }

  /// Visits the pieces in order.
  func visit<Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Void
  ) throws(Failure) {
    let result = bytes.withUnsafeBufferPointer { view in
      Result { () throws(Failure) in
        var start = 0
        for end in ends {
          try body(UnsafeBufferPointer(rebasing: view[start..<end]))
          start = end
        }
      }
    }
    try result.get()
  }
}
