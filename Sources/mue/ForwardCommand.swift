import ArgumentParser

struct ForwardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forward", abstract: "Runs one teacher-forced pass on tensors.",
    discussion: "Writes logits.npy, encoder_hidden_states.npy and report.json to the output directory.")

  @Argument(help: "The bundle directory.") var model: String
  @Option(help: ArgumentHelp("float32 [batch, 3, height, width].", valueName: "file.npy")) var pixelValues: String
  @Option(name: .customLong("input-ids"), help: ArgumentHelp("int64 [batch, text length].", valueName: "file.npy"))
  var inputIDs: String
  @Option(
    name: .customLong("decoder-input-ids"),
    help: ArgumentHelp("int64 [batch, decoder length].", valueName: "file.npy"))
  var decoderInputIDs: String
  @Option(help: ArgumentHelp("Made when it is not there.", valueName: "dir")) var outputDir: String
  @OptionGroup var request: RequestArguments
  @OptionGroup var opening: ModelArguments
  @OptionGroup var tracing: TraceArguments

  func run() throws {
    var settings = try request.settings()
    settings.similarities = true
    let session = try SessionHandle(model: opening.open(model))
    let pixels = try NumPyArray(path: pixelValues)
    let (inputs, decoderInputs) = try (NumPyArray(path: inputIDs), NumPyArray(path: decoderInputIDs))
    let result = try tracing.run(on: session) { () throws(CommandFailure) in
      try session.forward(pixelValues: pixels, inputIDs: inputs, decoderInputIDs: decoderInputs, settings: settings)
    }
    let output = try OutputDirectory(outputDir)
    for index in 0..<result.tensorCount { try output.write(result.tensor(index)) }
    try output.write(Array((result.json() + "\n").utf8), name: "report.json")
    for item in 0..<result.count {
      StandardStream.output("sample \(item)\n\(try ReportText.lines(result, item))")
    }
  }
}
