import Plan
import Tensor

/// Plans by the sizes they were made for; the least recently used go when there are too many, or when they hold too much.
final class PlanCache {
  private struct Entry {
    var plan: Plan
    var byteCount: Int
    var lastUse: Int
  }

  private var entries: [[Int]: Entry] = [:]
  private var clock = 0
  private var byteCount = 0
  private let capacity: Int
  private let byteLimit: Int

  /// - Parameters:
  ///   - capacity: plans to keep.
  ///   - byteLimit: bytes that all of them together may hold (`Plan.heldByteCount`).
  init(capacity: Int, byteLimit: Int = 1 << 30) {
    self.capacity = capacity
    self.byteLimit = byteLimit
  }

  func plan(_ key: [Int], _ make: () throws(MueError) -> Plan) throws(MueError) -> Plan {
    clock += 1
    if let entry = entries[key] {
      entries[key]?.lastUse = clock
      return entry.plan
    }
    let plan = try make()
    let held = plan.heldByteCount
    while !entries.isEmpty, entries.count >= capacity || byteCount + held > byteLimit { removeOldest() }
    entries[key] = Entry(plan: plan, byteCount: held, lastUse: clock)
    byteCount += held
    return plan
  }

  func removeAll() {
    entries.removeAll()
    byteCount = 0
  }

  private func removeOldest() {
    guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
    byteCount -= oldest.value.byteCount
    entries[oldest.key] = nil
  }
}
