import CKernels
import Foundation
import Synchronization
import Testing

/// What a region did: how often each task ran, and whether a worker index was out of range.
private final class Region {
  let runs: UnsafeMutablePointer<Int32>
  let count: Int
  let threads: Int32
  let strayWorkers = Atomic<Int>(0)

  init(_ count: Int, threads: Int32) {
    self.count = count
    self.threads = threads
    runs = .allocate(capacity: max(count, 1))
    runs.initialize(repeating: 0, count: max(count, 1))
  }

  deinit { runs.deallocate() }

  /// Runs the region; every task adds one to its own number, which nobody else touches.
  func run(_ pool: OpaquePointer?) {
    mk_parallel(
      pool, count,
      { context, task, worker in
        guard let context else { return }
        let region = Unmanaged<Region>.fromOpaque(context).takeUnretainedValue()
        region.runs[task] += 1
        if worker < 0 || worker >= region.threads { region.strayWorkers.add(1, ordering: .relaxed) }
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  func each(ran times: Int32) -> Bool {
    strayWorkers.load(ordering: .relaxed) == 0 && (0..<count).allSatisfy { runs[$0] == times }
  }
}

/// A pool that several threads use: Sendable by its own contract.
private struct SharedPool: @unchecked Sendable { let pool: OpaquePointer? }

extension CKernels {
  @Test(arguments: [1, 2, 3, 7] as [Int32])
  func regionsRunEachTaskOnce(threads: Int32) {
    let pool = mk_pool_create(threads)
    #expect(mk_pool_threads(pool) == threads)
    for count in [0, 1, 2, 3, 10, 1000, 100_003] {
      let region = Region(count, threads: threads)
      region.run(pool)
      #expect(region.each(ran: 1), "\(count) tasks")
    }
    mk_pool_destroy(pool)
  }

  @Test func poolsThatDoNothing() {
    mk_pool_destroy(nil)
    #expect(mk_pool_threads(nil) == 1)
    let region = Region(5, threads: 1)
    region.run(nil)
    #expect(region.each(ran: 1))
    for threads in [-3, 0, 5] as [Int32] { mk_pool_destroy(mk_pool_create(threads)) }
  }

  /// Many tiny regions from several threads on one pool: whoever finds it busy works alone.
  @Test func manyRegionsFromSeveralThreads() {
    let shared = SharedPool(pool: mk_pool_create(3))
    let failures = Atomic<Int>(0)
    let group = DispatchGroup()
    withUnsafePointer(to: failures) { failures in
      nonisolated(unsafe) let failures = failures
      for host in 0..<3 {
        let thread = Thread {
          let region = Region(5 + host, threads: 3)
          for _ in 0..<34_000 { region.run(shared.pool) }
          if !region.each(ran: 34_000) { failures.pointee.add(1, ordering: .relaxed) }
          group.leave()
        }
        group.enter()
        thread.start()
      }
      group.wait()
    }
    #expect(failures.load(ordering: .relaxed) == 0)
    mk_pool_destroy(shared.pool)
  }

  /// While others are at work, a region takes so many threads fewer: no more run than there are.
  @Test(arguments: [2, 3, 5] as [Int32], [1, 2])
  func callersShareTheThreads(threads: Int32, others: Int) {
    final class Seen {
      var identities: Set<UInt> = []
      let lock = NSLock()
    }
    final class Gate {
      let entered = DispatchSemaphore(value: 0)
      let open = DispatchSemaphore(value: 0)
    }
    let shared = SharedPool(pool: mk_pool_create(threads))
    let gate = Gate()
    nonisolated(unsafe) let context = Unmanaged.passUnretained(gate).toOpaque()
    let group = DispatchGroup()
    for _ in 0..<others {
      group.enter()
      Thread {
        mk_parallel(
          shared.pool, 1,
          { context, _, _ in
            guard let context else { return }
            let gate = Unmanaged<Gate>.fromOpaque(context).takeUnretainedValue()
            gate.entered.signal()
            gate.open.wait()
          }, context)
        group.leave()
      }.start()
    }
    for _ in 0..<others { gate.entered.wait() }
    let seen = Seen()
    for _ in 0..<20 {
      mk_parallel(
        shared.pool, 200,
        { context, _, _ in
          guard let context else { return }
          let seen = Unmanaged<Seen>.fromOpaque(context).takeUnretainedValue()
          seen.lock.lock()
          seen.identities.insert(UInt(pthread_self()))
          seen.lock.unlock()
          usleep(5)
        }, Unmanaged.passUnretained(seen).toOpaque())
    }
    #expect(seen.identities.count <= max(1, Int(threads) - others))
    for _ in 0..<others { gate.open.signal() }
    group.wait()
    mk_pool_destroy(shared.pool)
  }

  /// Workers that sleep between regions wake again; pools come and go.
  @Test func sleepingAndDestroying() {
    for round in 0..<60 {
      let pool = mk_pool_create(4)
      let region = Region(64, threads: 4)
      region.run(pool)
      // Longer than workers spin, so that they are asleep now and then.
      if round % 4 == 0 { usleep(300) }
      region.run(pool)
      #expect(region.each(ran: 2))
      mk_pool_destroy(pool)
    }
  }

  /// A task that starts a region of its own runs it alone.
  @Test func nestedRegions() {
    final class Outer {
      let pool: OpaquePointer?
      let inner: [Region]
      init(_ pool: OpaquePointer?) {
        self.pool = pool
        inner = (0..<8).map { _ in Region(9, threads: 2) }
      }
    }
    let pool = mk_pool_create(2)
    let outer = Outer(pool)
    mk_parallel(
      pool, 8,
      { context, task, _ in
        guard let context else { return }
        let outer = Unmanaged<Outer>.fromOpaque(context).takeUnretainedValue()
        outer.inner[task].run(outer.pool)
      }, Unmanaged.passUnretained(outer).toOpaque())
    #expect(outer.inner.allSatisfy { $0.each(ran: 1) })
    mk_pool_destroy(pool)
  }
}
