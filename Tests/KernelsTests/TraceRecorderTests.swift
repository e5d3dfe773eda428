import Testing

@testable import Kernels

/// Spans nest, also when code fails between their begin and end, and their number is bounded.
@Suite struct TraceRecorderTests {
  private func label(_ name: String) -> OperatorLabel {
    OperatorLabel(name: name, operatorName: "Add", inputs: [], outputs: [], multiplyAdds: nil, nodes: { [name] })
  }

  private func expectNested(_ recorder: TraceRecorder) {
    var open: [TraceRecorder.Span] = []
    for span in recorder.spans {
      #expect(span.begin <= span.end)
      while let last = open.last, last.end < span.end { _ = open.popLast() }
      if let last = open.last { #expect(last.begin <= span.begin && span.end <= last.end) }
      open.append(span)
    }
  }

  @Test func spansNest() {
    let recorder = TraceRecorder(.operators)
    recorder.begin(request: "outer")
    recorder.begin("inner")
    recorder.record(label("a"), since: Clock.now(), multiplyAdds: 3)
    recorder.end()
    recorder.begin("second")
    recorder.end()
    recorder.end()
    recorder.end()
    #expect(recorder.depth == 0 && recorder.spans.count == 4 && recorder.dropped == 0)
    expectNested(recorder)
  }

  @Test func whatFailedIsEndedByTheNextRequest() {
    let recorder = TraceRecorder(.phases)
    recorder.begin(request: "fails")
    recorder.begin("left open")
    recorder.begin("this too")
    recorder.begin(request: "next")
    #expect(recorder.depth == 1)
    recorder.end(downTo: 0)
    #expect(recorder.depth == 0 && recorder.spans.count == 4)
    #expect(recorder.spans[0].end <= recorder.spans[3].begin)
    expectNested(recorder)
  }

  @Test func theNumberOfSpansIsBounded() {
    let recorder = TraceRecorder(.operators, capacity: 3)
    recorder.begin(request: "request")
    for _ in 0..<5 {
      recorder.begin("phase")
      recorder.record(label("a"), since: Clock.now(), multiplyAdds: nil)
      recorder.end()
    }
    recorder.end()
    #expect(recorder.spans.count == 3 && recorder.dropped == 8 && recorder.depth == 0)
    // The request's own end is kept.
    #expect(recorder.spans[0].end >= recorder.spans[2].end)
  }
}
