import COnnxCheck
import Glibc
import ONNXFormat
import Testing

/// Our reader and libonnx's must see the same model.
@Suite struct ReaderAgreementTests {
  @Test func randomModels() throws {
    let random = RandomSource()
    var samples = SampleModels(random)
    for index in 0..<60 {
      let bytes = samples.model()
      let theirs = try #require(dumpOfReference(bytes), "libonnx refuses sample \(index) of seed \(random.seed)")
      #expect(theirs.count > 10)
      try expectSame(ModelDump(parse(bytes)).lines, theirs, "sample \(index) of seed \(random.seed)")
    }
  }

  @Test func externalData() throws {
    let random = RandomSource()
    for index in 0..<10 {
      var samples = SampleModels(RandomSource(seed: random.seed &+ UInt64(index)), external: true)
      let bytes = samples.model()
      let folder = try TemporaryFolder()
      try folder.folder("sub")
      for (name, content) in samples.externalFiles { try folder.write(name, content) }
      let path = try folder.write("model.onnx", bytes)
      let theirs = try #require(dumpOfReference(bytes, folder: folder.path))
      let model = try ONNXModel.open(path: path)
      expectSame(ModelDump(model).lines, theirs, "sample \(index) of seed \(random.seed)")
      try expectSame(ModelDump(parse(bytes, folder: folder.path)).lines, theirs, "bytes of sample \(index)")
    }
  }

  /// Files of PyTorch's two exporters and of the onnx package.
  @Test func pythonSamples() throws {
    guard let folder = try PythonSamples.make() else {
      print("skipped: no Python with onnx (scripts/python-env makes one, MUE_PYTHON names another)")
      return
    }
    let files = try PythonSamples.models(in: folder.path)
    #expect(files.count > 10)
    for file in files { try compare(file) }
  }

  /// Models in the repository's models folder, or in the one that MUE_TEST_MODELS names.
  @Test func repositoryModels() throws {
    let folder = getenv("MUE_TEST_MODELS").map { String(cString: $0) } ?? PythonSamples.repository + "/models"
    let files = try PythonSamples.models(in: folder)
    if files.isEmpty { print("skipped: no *.onnx or */*.onnx in \(folder)") }
    for file in files { try compare(file) }
  }

  private func compare(_ file: String) throws {
    let folder = String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
    let theirs = try #require(dumpOfReference(fileBytes(file), folder: folder), "libonnx refuses \(file)")
    let model = try ONNXModel.open(path: file)
    expectSame(ModelDump(model).lines, theirs, file)
  }
}
