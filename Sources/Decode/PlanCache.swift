import Plan
import Tensor

/// Plans by the sizes they were made for; the least recently used go when there are too many.
final class PlanCache {
  private var entries: [[Int]: (plan: Plan, lastUse: Int)] = [:]
  private var clock = 0
  private let capacity: Int

  init(capacity: Int) { self.capacity = capacity }

  func plan(_ key: [Int], _ make: () throws(MueError) -> Plan) throws(MueError) -> Plan {
    clock += 1
    if let entry = entries[key] {
      entries[key]?.lastUse = clock
      return entry.plan
    }
    let plan = try make()
    if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
      entries[oldest] = nil
    }
    entries[key] = (plan, clock)
    return plan
  }
}
