import CMue

/// A request's report for people.
enum ReportText {
  static func lines(_ result: ResultHandle, _ item: Int) throws(CommandFailure) -> String {
    let report = try result.report(item)
    let exits = result.decoderExits(item)
    let mean = exits.isEmpty ? 0 : Double(exits.reduce(0, +)) / Double(exits.count)
    let saved = report.macs_full > 0 ? 1 - Double(report.macs_run) / Double(report.macs_full) : 0
    var text = """
        layers   image \(report.image_exit) of \(report.image_depth), text \(report.text_exit) of \(report.text_depth), \
      decoder \(mean.fixed(2)) of \(report.decoder_depth) (mean of \(exits.count))
        saving   ETR \(report.etr.percent), multiply-adds \(saved.percent) \
      (\((Double(report.macs_run) / 1e9).fixed(3)) of \((Double(report.macs_full) / 1e9).fixed(3)) G)
        time     \(report.total_ms.fixed(1)) ms: image decoding \(report.image_decode_ms.fixed(1)), \
      stem \(report.stem_ms.fixed(1)), encoder \(report.encoder_ms.fixed(1)), decoder \(report.decoder_ms.fixed(1)), \
      head \(report.head_ms.fixed(1))
        machine  \(report.threads) threads, \(mue.text(report.precision) ?? ""), \(mue.text(report.cpu) ?? "")

      """
    text += similarityLines(result, item, tokens: exits.count)
    return text
  }

  private static func similarityLines(_ result: ResultHandle, _ item: Int, tokens: Int) -> String {
    var text = ""
    for (name, stream) in [("image", MUE_STREAM_IMAGE), ("text", MUE_STREAM_TEXT)] {
      let values = result.similarities(item, stream: stream)
      if !values.isEmpty { text += "  similar  \(name): \(list(values))\n" }
    }
    for token in 0..<tokens {
      let values = result.similarities(item, stream: MUE_STREAM_DECODER, token: token)
      if !values.isEmpty { text += "  similar  token \(token): \(list(values))\n" }
    }
    return text
  }

  private static func list(_ values: [Double]) -> String { values.map { $0.fixed(4) }.joined(separator: " ") }
}
