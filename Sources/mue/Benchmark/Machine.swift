import CMue
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What was measured on.
enum Machine {
  /// Cores that this process may use.
  static var threads: Int { information?["cores"]?.intValue ?? 1 }

  static var description: JSONValue {
    let lines = (ProcessFile.text("/proc/cpuinfo") ?? "").split(separator: "\n")
    func field(_ name: String) -> String {
      guard let line = lines.first(where: { $0.hasPrefix(name) }) else { return "" }
      return String(line.drop { $0 != ":" }.dropFirst().drop { $0 == " " })
    }
    let flags = Set(field("flags").split(separator: " ").map(String.init))
    let features = [
      "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "amx_bf16",
      "amx_int8",
    ]
    let load = (ProcessFile.text("/proc/loadavg") ?? "").split(separator: " ").first.flatMap { Double($0) }
    return [
      "processor": .string(field("model name")), "cores": .int(threads),
      "features": .array(features.filter(flags.contains).map { .string($0) }),
      "cpu": information?["cpu"] ?? .null, "build": information?["build"] ?? .null,
      "system": .string(String((ProcessFile.text("/proc/version") ?? "").prefix { $0 != "(" })),
      "load_before": load.map { .double($0) } ?? .null,
    ]
  }

  private static var information: JSONValue? {
    var json: UnsafeMutablePointer<CChar>?
    guard (try? check(mue_system_info(&json))) != nil else { return nil }
    defer { mue_string_free(json) }
    return try? JSONValue.parse(text(json) ?? "")
  }
}
