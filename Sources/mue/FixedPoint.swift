extension Double {
  /// Decimal notation with `digits` digits behind the point, rounded half away from zero.
  func fixed(_ digits: Int) -> String {
    guard isFinite, magnitude < 1e15 else { return "\(self)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (magnitude * scale).rounded()
    guard scaled < 9e18 else { return "\(self)" }
    var text = String(Int(scaled))
    if text.count <= digits { text = String(repeating: "0", count: digits + 1 - text.count) + text }
    if digits > 0 { text.insert(".", at: text.index(text.endIndex, offsetBy: -digits)) }
    return self < 0 && scaled > 0 ? "-" + text : text
  }

  /// A fraction as a percentage.
  var percent: String { (self * 100).fixed(1) + " %" }
}
