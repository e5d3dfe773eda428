import Decode
import Exit
import Streams

/// Puts together what a request used.
struct ReportBuilder {
  let model: Model
  let unified: UnifiedGraph

  func report(
    _ encoded: EncodedSample, decoderExits: [Int], decoderSimilarities: [[Double]], multiplyAdds: Int,
    fullMultiplyAdds: Int, recordsSimilarities: Bool
  ) -> RequestReport {
    let streams = unified.streams
    var report = RequestReport()
    // A joint encoder is one stream: both modalities stop at its layer.
    report.imageExit = encoded.exits[.image] ?? encoded.exits[.joint] ?? 0
    report.textExit = encoded.exits[.text] ?? encoded.exits[.joint] ?? 0
    report.decoderExits = decoderExits
    report.depth = LayerCounts(
      image: (streams.joint ?? streams.image)?.layerCount ?? 0, text: (streams.joint ?? streams.text)?.layerCount ?? 0,
      decoder: streams.decoder?.layerCount ?? 0)
    report.etr = ExpectedTimeReduction.value(
      image: report.depth.image > 0 ? (report.imageExit, report.depth.image) : nil,
      text: report.depth.text > 0 ? (report.textExit, report.depth.text) : nil,
      decoder: decoderExits, decoderDepth: report.depth.decoder)
    report.multiplyAdds = encoded.multiplyAdds + multiplyAdds
    report.fullMultiplyAdds = encoded.fullMultiplyAdds + fullMultiplyAdds
    if recordsSimilarities {
      var similarities = Similarities()
      similarities.image = encoded.similarities[.image] ?? encoded.similarities[.joint] ?? []
      similarities.text = encoded.similarities[.text] ?? encoded.similarities[.joint] ?? []
      similarities.decoder = decoderSimilarities
      report.similarities = similarities
    }
    report.threads = model.threads
    report.precision = model.options.precision
    report.cpu = Processor.instructionSet
    return report
  }
}

extension TimeReport {
  /// Adds the encoder's figures of every sample of a batch.
  mutating func add(_ encoded: [EncodedSample]) {
    for sample in encoded {
      stem += sample.stemMilliseconds
      encoder += sample.layersMilliseconds
    }
  }
}
