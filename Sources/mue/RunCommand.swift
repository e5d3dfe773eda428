import ArgumentParser

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs any graph on named tensors, as a plain ONNX runtime.",
    discussion: "Writes one NAME.npy for each output to the output directory.")

  @Argument(help: "An ONNX file, or a bundle directory.") var model: String
  @Option(help: ArgumentHelp("An input; may be repeated.", valueName: "name=file.npy")) var input: [String] = []
  @Option(help: ArgumentHelp("Made when it is not there.", valueName: "dir")) var outputDir: String
  @OptionGroup var opening: ModelArguments
  @OptionGroup var tracing: TraceArguments

  func validate() throws {
    for text in input where !text.dropFirst().contains("=") {
      throw ValidationError("--input '\(text)' is not NAME=FILE.npy")
    }
  }

  func run() throws {
    let session = try SessionHandle(model: opening.open(model))
    var inputs: [(name: String, array: NumPyArray)] = []
    for text in input {
      // A name of a tensor may hold an equals sign; the last one divides.
      guard let divider = text.lastIndex(of: "=") else { continue }
      let file = String(text[text.index(after: divider)...])
      inputs.append((String(text[..<divider]), try NumPyArray(path: file)))
    }
    let result = try tracing.run(on: session) { () throws(CommandFailure) in try session.run(inputs) }
    let output = try OutputDirectory(outputDir)
    for index in 0..<result.tensorCount {
      let tensor = try result.tensor(index)
      let written = try output.write(tensor)
      let shape = (0..<Int(tensor.rank)).map { String(tensor.shape[$0]) }.joined(separator: ", ")
      StandardStream.output("\(text(tensor.name) ?? "") [\(shape)] -> \(written)\n")
    }
  }
}
