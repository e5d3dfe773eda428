import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Another runtime that `python3 -m mue_bench.peer` drives.
enum BenchPeer: String {
  case onnxruntime, openvino

  /// What it computes in when asked to: the other precisions need tools that are not part of it.
  var precisions: [String] {
    switch self {
    case .onnxruntime: ["f32", "int8"]
    case .openvino: ["f32", "bf16"]
    }
  }
}

/// Measures engines side by side: each in a process of its own, one after the other in every round.
struct Benchmark {
  let subject: BenchSubject
  let threads: Int
  let hasPackedCache: Bool
  let rounds: Int
  let pieces: String?
  let python: String

  /// Between two engines, so that the threads of the one no longer spin while the other runs.
  private static let rest: UInt32 = 50_000
  /// Loading takes a process each time.
  private static let loads = 3

  func run(precision: String, peers: [BenchPeer]) throws(CommandFailure) -> BenchGroup {
    var group = BenchGroup(precision: precision, engines: [BenchEngine(name: "MuE", peer: nil)])
    for peer in peers { group.engines.append(BenchEngine(name: peer.rawValue, peer: peer)) }
    let progress = ProgressLine("\(precision) round", total: rounds)
    try load(&group, precision)
    var workers: [ChildProcess] = []
    for index in group.engines.indices {
      workers.append(try worker(group.engines[index], precision))
      group.engines[index].take(opened: try workers[index].ask("open"))
    }
    for round in 0...rounds {
      progress.show(round)
      for (index, worker) in workers.enumerated() {
        usleep(Self.rest)
        let caption = try worker.ask("caption")
        let beams: JSONValue? = subject.beams > 1 ? try worker.ask("beams") : nil
        if round > 0 {
          group.engines[index].take(caption: caption, beams: beams)
        } else {
          // In the first round plans are made and pages touched; an answer with beams may need longer plans.
          _ = try worker.ask("caption")
        }
      }
    }
    progress.clear()
    for worker in workers { worker.end() }
    return group
  }

  /// The time to open the model as it is, and the memory with one answer: a process for each of the measurements. Other
  /// runtimes open the unmodified graph, so in f32 alone.
  private func load(_ group: inout BenchGroup, _ precision: String) throws(CommandFailure) {
    for _ in 0..<min(Self.loads, rounds) {
      for index in group.engines.indices where group.engines[index].peer == nil || precision == "f32" {
        let worker = try worker(group.engines[index], precision, isWhole: true)
        let opened = try worker.ask("open")
        group.engines[index].take(loaded: opened, answered: try worker.ask("once"))
        worker.end()
      }
    }
  }

  private func worker(
    _ engine: BenchEngine, _ precision: String, isWhole: Bool = false
  ) throws(CommandFailure) -> ChildProcess {
    var options = [subject.model, "--threads", "\(threads)", "--precision", precision]
    options += ["--tokens", "\(subject.tokens)", "--beams", "\(subject.beams)"]
    if let image = subject.image { options += ["--image", image] }
    if let prompt = subject.prompt { options += ["--prompt=\(prompt)"] }
    guard let peer = engine.peer else {
      return try ChildProcess(
        "MuE", [ProcessFile.program(), "bench-worker"] + options + (hasPackedCache ? ["--packed-cache"] : []))
    }
    if isWhole { options.append("--whole") } else if let pieces { options += ["--pieces", pieces] }
    return try ChildProcess(
      peer.rawValue, [python, "-m", "mue_bench.peer", peer.rawValue] + options, environment: pythonPath())
  }

  /// PYTHONPATH with the package of the checkout that this program was built in, when there is one.
  private func pythonPath() throws(CommandFailure) -> [String] {
    var folders = try ProcessFile.program().split(separator: "/", omittingEmptySubsequences: false)
    var path = getenv("PYTHONPATH").map { String(cString: $0) } ?? ""
    while folders.count > 1 {
      folders.removeLast()
      let package = folders.joined(separator: "/") + "/bindings/python"
      guard access(package + "/mue_bench/peer.py", R_OK) == 0 else { continue }
      path = path.isEmpty ? package : "\(path):\(package)"
      break
    }
    return path.isEmpty ? [] : ["PYTHONPATH=\(path)"]
  }
}
