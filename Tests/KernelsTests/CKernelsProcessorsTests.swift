import CKernels
import Foundation
import Testing

/// A folder that stands for "/", with the files that are put in; it goes with the object.
private final class FakeRoot {
  let path: String

  init(_ files: [String: String]) throws {
    path = NSTemporaryDirectory() + "mue-root-\(UUID().uuidString)"
    for (name, content) in files { try put(name, Data(content.utf8)) }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func put(_ name: String, _ content: Data) throws {
    let file = URL(fileURLWithPath: path + name)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try content.write(to: file)
  }

  var limit: Int32 { mk_processor_limit(path) }
}

extension CKernels {
  private static let mount = "/sys/fs/cgroup"

  @Test func processorsAreCountedWithinTheMask() {
    let count = mk_processor_count()
    #expect(count >= 1)
    #expect(Int(count) <= ProcessInfo.processInfo.processorCount)
    #expect(mk_processor_limit("") >= count)
    #expect(mk_processor_limit("/no/such/folder") == .max)
  }

  @Test(
    arguments: [
      ("200000 100000\n", 2), ("150000 100000\n", 2), ("100001 100000", 2), ("50000 100000\n", 1), ("1 1000000\n", 1),
      ("max 100000\n", .max), ("max\n", .max), ("", .max), ("\n", .max), ("0 100000\n", .max), ("-1 100000\n", .max),
      ("200000\n", .max), ("200000 0\n", .max), ("200000 -5\n", .max), ("200000 x", .max), ("2e5 1e5\n", .max),
      ("99999999999999999999999999 100000\n", .max), ("100000 99999999999999999999999999\n", .max),
      ("9223372036854775807 1\n", .max), ("9223372036854775799 1\n", .max), ("\u{0}\u{1}\u{FF} \u{FF}", .max),
      (String(repeating: "9", count: 100_000), .max), (String(repeating: " ", count: 100_000), .max),
    ] as [(String, Int32)])
  func quotasOfVersionTwo(content: String, expected: Int32) throws {
    let root = try FakeRoot(["/proc/self/cgroup": "0::/\n", "\(Self.mount)/cpu.max": content])
    #expect(root.limit == expected)
  }

  @Test func theTightestGroupAroundCounts() throws {
    let files = [
      "/proc/self/cgroup": "0::/a.slice/b.scope\n", "\(Self.mount)/a.slice/cpu.max": "300000 100000\n",
      "\(Self.mount)/a.slice/b.scope/cpu.max": "max 100000\n", "\(Self.mount)/cpu.max": "800000 100000\n",
    ]
    let root = try FakeRoot(files)
    #expect(root.limit == 3)
    try root.put("\(Self.mount)/a.slice/b.scope/cpu.max", Data("200000 100000".utf8))
    #expect(root.limit == 2)
    // A container sees the host's name of its group, and only the group itself, mounted at the top.
    #expect(
      try FakeRoot([
        "/proc/self/cgroup": "0::/docker/123\n", "\(Self.mount)/cpu.max": "400000 100000\n",
      ]).limit == 4)
  }

  @Test func quotasOfVersionOne() throws {
    func root(_ mount: String, _ controllers: String, _ quota: String, _ period: String) throws -> FakeRoot {
      try FakeRoot([
        "/proc/self/cgroup": "12:memory:/x\n4:\(controllers):/x/y\n1:name=systemd:/x\n",
        "\(Self.mount)/\(mount)/x/y/cpu.cfs_quota_us": quota, "\(Self.mount)/\(mount)/x/y/cpu.cfs_period_us": period,
      ])
    }
    #expect(try root("cpu,cpuacct", "cpu,cpuacct", "250000\n", "100000\n").limit == 3)
    #expect(try root("cpu", "cpuacct,cpu", "100000\n", "100000\n").limit == 1)
    #expect(try root("cpu", "cpu", "-1\n", "100000\n").limit == .max)
    #expect(try root("cpu", "cpu", "250000\n", "0\n").limit == .max)
    #expect(try root("cpu", "cpuset", "250000\n", "100000\n").limit == .max)
    // Both versions at once: version 2 without the controller.
    let both = try root("cpu", "cpu", "200000\n", "100000\n")
    try both.put("/proc/self/cgroup", Data("4:cpu:/x/y\n0::/\n".utf8))
    #expect(both.limit == 2)
  }

  @Test func groupsThatMakeNoSense() throws {
    let quota = ["\(Self.mount)/cpu.max": "200000 100000\n"]
    func limit(_ group: String) throws -> Int32 {
      try FakeRoot(quota.merging(["/proc/self/cgroup": group]) { $1 }).limit
    }
    // Above the namespace, or beyond every path: only the mount counts.
    #expect(try limit("0::/../../etc\n") == 2)
    #expect(try limit("0::relative\n") == 2)
    #expect(try limit("0::/" + String(repeating: "a/", count: 3000) + "\n") == 2)
    #expect(try limit("0::////\n") == 2)
    #expect(try limit("0::") == 2)
    for text in ["", "0", "0:", ":::::", "\n\n\n", "\u{0}", String(repeating: "x", count: 100_000)] {
      _ = try limit(text)
    }
    #expect(try limit("no colons at all\n") == .max)
    // A folder in place of a file, and a pipe that nobody writes to.
    let root = try FakeRoot(["/proc/self/cgroup": "0::/\n", "\(Self.mount)/cpu.max/inside": "1"])
    #expect(root.limit == .max)
    let pipe = try FakeRoot(["/proc/self/cgroup": "0::/\n", "\(Self.mount)/other": "1"])
    #expect(mkfifo(pipe.path + "\(Self.mount)/cpu.max", 0o600) == 0)
    #expect(pipe.limit == .max)
  }
}
