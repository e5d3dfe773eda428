/// The medians as bars, an SVG picture: a row of bars for each work, longest of it at full width.
struct BenchPicture {
  let svg: String

  private static let colors = ["#1f6feb", "#8b949e", "#d29922"]
  private static let (left, width, bar) = (190, 420, 16)

  init(_ groups: [BenchGroup]) {
    var body = ""
    var y = 24
    for group in groups {
      body += Self.text(10, y, group.precision, isBold: true)
      for (index, engine) in group.engines.enumerated() {
        body += "<rect x=\"\(Self.left + 170 * index)\" y=\"\(y - 10)\" width=\"10\" height=\"10\" "
        body += "fill=\"\(Self.colors[index % Self.colors.count])\"/>"
        body += Self.text(Self.left + 170 * index + 16, y, "\(engine.name) \(engine.version)")
      }
      y += 14
      for (name, ours) in group.engines.first?.figures ?? [] {
        let rows = group.engines.map { engine in engine.figures.first { $0.name == name }?.rounds.median }
        let longest = rows.compactMap { $0 }.max() ?? ours.median
        body += Self.text(10, y + 14, name)
        for (index, value) in rows.enumerated() {
          guard let value else { continue }
          let length = longest > 0 ? Int(Double(Self.width) * value / longest) : 0
          body += "<rect x=\"\(Self.left)\" y=\"\(y + 2)\" width=\"\(max(length, 1))\" height=\"\(Self.bar - 3)\" "
          body += "fill=\"\(Self.colors[index % Self.colors.count])\"/>"
          let figure = name == "memory" ? (value / 1e6).fixed(0) + " MB" : value.fixed(2) + " ms"
          body += Self.text(Self.left + length + 6, y + 13, figure)
          y += Self.bar
        }
        y += 8
      }
      y += 26
    }
    svg = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.left + Self.width + 110)" height="\(y)" \
      font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>\(body)</svg>

      """
  }

  private static func text(_ x: Int, _ y: Int, _ text: String, isBold: Bool = false) -> String {
    let escaped = text.map { character in
      switch character {
      case "<": "&lt;"
      case ">": "&gt;"
      case "&": "&amp;"
      default: String(character)
      }
    }.joined()
    return "<text x=\"\(x)\" y=\"\(y)\"\(isBold ? " font-weight=\"bold\"" : "")>\(escaped)</text>"
  }
}
