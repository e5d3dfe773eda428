import JSON

/// A figure over the rounds of a measurement.
struct Rounds {
  private(set) var values: [Double] = []

  mutating func append(_ value: Double) { values.append(value) }

  var minimum: Double { values.min() ?? 0 }

  var median: Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  var json: JSONValue {
    ["median": .double(median), "minimum": .double(minimum), "rounds": .array(values.map { .double($0) })]
  }
}
