import JSON

/// The figures of one task under one exit setting.
struct TaskSummary {
  let task: DataItem.Task
  let count: Int
  /// The share of answers that are one of the references, to the letter.
  let exact: Double
  /// CIDEr-D times 100, for captions.
  let ciderD: Double?
  /// The share of right answers by right answer, for closed answer sets.
  let labels: [(label: String, accuracy: Double, count: Int)]
  let imageLayers: Double
  let textLayers: Double
  /// Mean over tokens.
  let decoderLayers: Double
  /// As the paper defines it, weighted by tokens.
  let etr: Double
  let multiplyAdds: Double
  let fullMultiplyAdds: Double
  /// Mean and median of the whole request, milliseconds.
  let meanTime: Double
  let medianTime: Double

  init?(_ task: DataItem.Task, _ answered: [AnsweredItem]) {
    let answered = answered.filter { $0.item.task == task }
    guard !answered.isEmpty else { return nil }
    self.task = task
    count = answered.count
    func mean(_ value: (AnsweredItem) -> Double) -> Double {
      answered.reduce(0) { $0 + value($1) } / Double(answered.count)
    }
    exact = mean { $0.isExact ? 1 : 0 }
    if task == .caption {
      let metric = CaptionMetric(corpus: answered.map(\.item.references))
      ciderD = 100 * mean { metric.score($0.answer, references: $0.item.references) }
    } else {
      ciderD = nil
    }
    let closed = answered.filter { !$0.item.answers.isEmpty }
    labels = Set(closed.map { $0.item.references[0].trimmed }).sorted().map { label in
      let same = closed.filter { $0.item.references[0].trimmed == label }
      return (label, Double(same.count { $0.isExact }) / Double(same.count), same.count)
    }
    imageLayers = mean { Double($0.imageExit) }
    textLayers = mean { Double($0.textExit) }
    let tokens = answered.reduce(0) { $0 + $1.decoderExits.count }
    decoderLayers =
      Double(answered.reduce(0) { $0 + $1.decoderExits.reduce(0, +) }) / Double(max(tokens, 1))
    etr = answered.reduce(0) { $0 + $1.report.etr * Double($1.decoderExits.count) } / Double(max(tokens, 1))
    multiplyAdds = mean { Double($0.report.macs_run) }
    fullMultiplyAdds = mean { Double($0.report.macs_full) }
    meanTime = mean { $0.report.total_ms }
    let times = answered.map(\.report.total_ms).sorted()
    medianTime = (times[(times.count - 1) / 2] + times[times.count / 2]) / 2
  }

  var json: JSONValue {
    var members: [(String, JSONValue)] = [("count", .int(count)), ("exact", .double(exact))]
    if let ciderD { members.append(("cider_d", .double(ciderD))) }
    if !labels.isEmpty {
      members.append(("labels", .object(JSONObject(labels.map { ($0.label, .double($0.accuracy)) }))))
    }
    members += [
      ("layers", ["image": .double(imageLayers), "text": .double(textLayers), "decoder": .double(decoderLayers)]),
      ("etr", .double(etr)), ("macs", ["run": .double(multiplyAdds), "full": .double(fullMultiplyAdds)]),
      ("time_ms", ["mean": .double(meanTime), "median": .double(medianTime)]),
    ]
    return .object(JSONObject(members))
  }

  var lines: String {
    var quality = "exact \(exact.percent)"
    if let ciderD { quality += ", CIDEr-D \(ciderD.fixed(1))" }
    if !labels.isEmpty {
      quality += " (" + labels.map { "\($0.label) \($0.accuracy.percent)" }.joined(separator: ", ") + ")"
    }
    let saved = fullMultiplyAdds > 0 ? 1 - multiplyAdds / fullMultiplyAdds : 0
    return """
        \(task.rawValue), \(count) items: \(quality)
          layers   image \(imageLayers.fixed(2)), text \(textLayers.fixed(2)), decoder \(decoderLayers.fixed(2))
          saving   ETR \(etr.percent), multiply-adds \(saved.percent) \
      (\((multiplyAdds / 1e9).fixed(3)) of \((fullMultiplyAdds / 1e9).fixed(3)) G)
          time     \(meanTime.fixed(2)) ms mean, \(medianTime.fixed(2)) ms median

      """
  }
}
