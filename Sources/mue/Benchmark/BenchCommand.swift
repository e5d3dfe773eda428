import ArgumentParser
import CMue
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures time, its parts, memory and loading, beside other runtimes if asked.",
    discussion: """
      Every engine runs in a process of its own with the same threads, and they take turns. docs/performance.md says what \
      the figures mean. Other runtimes need Python with the packages onnxruntime or openvino, onnx, tokenizers, pillow.
      """)

  @OptionGroup var subject: BenchSubject
  @Option(help: ArgumentHelp("Runtimes to run beside: onnxruntime, openvino.", valueName: "names")) var compare: String?
  @Option(help: "Threads of every engine; 0 takes the cores that the process may use.") var threads = 0
  @Option(help: ArgumentHelp("f32, bf16, int8, or several with commas between.", valueName: "names"))
  var precision = "f32"
  @Flag(help: "Let MuE keep packed weights in a file next to the model: loading then reads them from there.")
  var packedCache = false
  @Option(help: "Rounds that count; one more goes before them.") var rounds = 7
  @Option(help: ArgumentHelp("The model cut into graphs that suit other runtimes.", valueName: "dir")) var pieces:
    String?
  @Option(help: ArgumentHelp("For other runtimes; else MUE_PYTHON, else python3.", valueName: "program"))
  var python: String?
  @Option(help: ArgumentHelp("Write bench.json, bench.txt and bench.svg there.", valueName: "dir")) var outputDir:
    String?
  @Flag(help: "Print one JSON object.") var json = false

  func validate() throws {
    guard threads >= 0 else { throw ValidationError("--threads must not be negative") }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
    for name in Self.list(compare) where BenchPeer(rawValue: name) == nil {
      throw ValidationError("--compare '\(name)' is neither onnxruntime nor openvino")
    }
    let precisions = Self.list(precision)
    guard !precisions.isEmpty, precisions.allSatisfy({ ModelArguments.Precision(rawValue: $0) != nil }) else {
      throw ValidationError("--precision '\(precision)' is not made of f32, bf16 and int8")
    }
  }

  func run() throws {
    var subject = subject
    let threads = threads == 0 ? Machine.threads : threads
    let noise = try subject.image == nil ? NoisePicture() : nil
    subject.image = subject.image ?? noise?.path
    let benchmark = Benchmark(
      subject: subject, threads: threads, hasPackedCache: packedCache, rounds: rounds, pieces: pieces,
      python: python ?? getenv("MUE_PYTHON").map { String(cString: $0) } ?? "python3")
    let machine = Machine.description
    var groups: [BenchGroup] = []
    for name in Self.list(precision) {
      let peers = Self.list(compare).compactMap(BenchPeer.init).filter { $0.precisions.contains(name) }
      groups.append(try benchmark.run(precision: name, peers: peers))
    }
    withExtendedLifetime(noise) {}
    let report = BenchReport(subject: subject, threads: threads, rounds: rounds, machine: machine, groups: groups)
    if let outputDir {
      let output = try OutputDirectory(outputDir)
      try output.write(Array((report.json.serialized(pretty: true) + "\n").utf8), name: "bench.json")
      try output.write(Array(report.text.utf8), name: "bench.txt")
      try output.write(Array(BenchPicture(groups).svg.utf8), name: "bench.svg")
    }
    StandardStream.output(json ? report.json.serialized() + "\n" : report.text)
  }

  private static func list(_ text: String?) -> [String] { (text ?? "").split(separator: ",").map(String.init) }
}

/// A picture of noise in a temporary folder, which goes with this object.
private final class NoisePicture {
  let path: String
  private let folder: String

  init() throws(CommandFailure) {
    let size = 480
    var state: UInt64 = 1
    let pixels = (0..<3 * size * size).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 56)
    }
    var template = Array((getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp").utf8CString.dropLast())
    template += Array("/mue-bench-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw CommandFailure("no temporary folder: \(String(cString: strerror(errno)))")
    }
    folder = String(cString: made)
    path = folder + "/noise.png"
    var image: OpaquePointer?
    try check(mue_image_from_rgb(pixels, size, size, 0, &image))
    defer { mue_image_free(image) }
    try check(mue_image_write_png(image, nil, 0, path, path.utf8.count))
  }

  deinit {
    unlink(path)
    rmdir(folder)
  }
}
