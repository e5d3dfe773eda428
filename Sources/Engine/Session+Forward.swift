import Decode
import Exit
import Tensor

extension Session {
  /// One teacher-forced pass: pixel_values float32 [batch, 3, height, width], ids int64 [batch, length].
  ///
  /// Each sample makes one exit decision per stream (`rule` row), or all together one (`joint`, encoder streams).
  public func forward(
    pixelValues: Tensor, inputIDs: Tensor, decoderInputIDs: Tensor, options: RequestOptions = .init()
  ) throws(MueError) -> ForwardResult {
    let total = Stopwatch()
    trace?.begin(request: "forward")
    defer { trace?.end() }
    let runner = try requireRunner()
    let preparation = preparation
    guard pixelValues.type == .float32, pixelValues.shape.count == 4, pixelValues.shape[0] > 0 else {
      throw MueError(
        .invalidArgument, "pixel_values must be float32 [batch, channels, height, width]",
        at: .init(argument: "pixel_values"))
    }
    let batch = pixelValues.shape[0]
    let prompts = try Self.rows(inputIDs, batch: batch, name: "input_ids", preparation)
    let prefixes = try Self.rows(decoderInputIDs, batch: batch, name: "decoder_input_ids", preparation)
    let run = try preparation.runOptions(options)
    var samples: [SampleInput] = []
    let imageShape = [1] + pixelValues.shape[1...]
    let imageBytes = pixelValues.byteCount / batch
    for (index, ids) in prompts.enumerated() {
      let pixels = try Tensor(
        .float32, imageShape, buffer: pixelValues.buffer, byteOffset: pixelValues.byteOffset + index * imageBytes)
      samples.append(try SampleInput(pixelValues: pixels, inputIDs: ids, padding: preparation.padding))
    }
    let encoded = try runner.encode(samples, options: run)
    let builder = ReportBuilder(model: model, unified: runner.unified)
    var reports: [RequestReport] = []
    var logits: [Tensor] = []
    var hidden: [Tensor] = []
    var time = TimeReport()
    time.add(encoded)
    for (sample, ids) in zip(encoded, prefixes) {
      let pass = try runner.forward(sample, ids: ids, options: run)
      logits.append(pass.logits)
      if let states = sample.hiddenStates(runner.unified) { hidden.append(states) }
      time.decoder += pass.layersMilliseconds
      time.head += pass.headMilliseconds
      reports.append(
        builder.report(
          sample, decoderExits: [pass.exit], decoderSimilarities: [pass.similarities],
          multiplyAdds: pass.multiplyAdds, fullMultiplyAdds: pass.fullMultiplyAdds,
          recordsSimilarities: options.similarities))
    }
    time.total = total.milliseconds
    for index in reports.indices { reports[index].time = time }
    guard hidden.count == batch else {
      throw MueError(.unsupported, "this graph has no single value that is the encoder's output")
    }
    return ForwardResult(
      logits: try Self.stacked(logits), encoderHiddenStates: try Self.stacked(hidden), reports: reports)
  }

  private static func rows(
    _ ids: Tensor, batch: Int, name: String, _ preparation: RequestPreparation
  ) throws(MueError) -> [[Int]] {
    guard ids.type == .int64 || ids.type == .int32, ids.shape.count == 2, ids.shape[0] == batch, ids.shape[1] > 0 else {
      throw MueError(.invalidArgument, "\(name) must be int64 [\(batch), length]", at: .init(argument: name))
    }
    let length = ids.shape[1]
    guard length <= preparation.maxSequence else {
      throw MueError(
        .limitExceeded, "\(name) has \(length) tokens; the model takes at most \(preparation.maxSequence)",
        at: .init(argument: name))
    }
    let all =
      ids.type == .int64
      ? try ids.elements(as: Int64.self).map { Int($0) } : try ids.elements(as: Int32.self).map { Int($0) }
    return (0..<batch).map { Array(all[$0 * length..<($0 + 1) * length]) }
  }

  /// Tensors [1, ...] of one shape as one [batch, ...].
  private static func stacked(_ tensors: [Tensor]) throws(MueError) -> Tensor {
    guard let first = tensors.first else { throw MueError(.internal, "nothing to stack") }
    let result = try Tensor(first.type, [tensors.count] + first.shape.dropFirst())
    for (index, tensor) in tensors.enumerated() {
      (result.pointer + index * first.byteCount).copyMemory(from: tensor.pointer, byteCount: first.byteCount)
    }
    return result
  }
}
