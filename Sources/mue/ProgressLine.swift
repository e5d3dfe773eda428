/// One line on standard error that is rewritten in place; silent when standard error is no terminal.
struct ProgressLine {
  private let total: Int
  private let what: String
  private let isShown = StandardStream.errorIsTerminal

  init(_ what: String, total: Int) {
    self.what = what
    self.total = total
  }

  func show(_ done: Int) {
    guard isShown else { return }
    StandardStream.error("\r\(what) \(done) of \(total)")
  }

  /// Removes the line.
  func clear() {
    guard isShown else { return }
    StandardStream.error("\r\u{1B}[K")
  }
}
