// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import Tensor

@c @implementation
public func mue_result_free(_ result: OpaquePointer?) { ResultBox.free(result) }

@c @implementation
public func mue_result_count(_ result: OpaquePointer?) -> Int { ResultBox.peek(result)?.entries.count ?? 0 }

@c @implementation
public func mue_result_text(_ result: OpaquePointer?, _ item: Int) -> UnsafePointer<CChar>? {
  entry(result, item)?.hypotheses.first?.view.text
}

@c @implementation
public func mue_result_tokens(
  _ result: OpaquePointer?, _ item: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Int64>? {
  let best = entry(result, item)?.hypotheses.first?.view
  return lend(UnsafeBufferPointer(start: best?.tokens, count: best?.token_count ?? 0), count)
}

@c @implementation
public func mue_result_log_probability(_ result: OpaquePointer?, _ item: Int) -> Double {
  guard case .generation(let generation)? = entry(result, item)?.content else { return .nan }
  return generation.logProbability
}

@c @implementation
public func mue_result_token_log_probabilities(
  _ result: OpaquePointer?, _ item: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Double>? {
  let best = entry(result, item)?.hypotheses.first?.view
  return lend(UnsafeBufferPointer(start: best?.token_log_probabilities, count: best?.step_count ?? 0), count)
}

@c @implementation
public func mue_result_is_finished(_ result: OpaquePointer?, _ item: Int) -> Int32 {
  guard case .generation(let generation)? = entry(result, item)?.content else { return -1 }
  return generation.isFinished ? 1 : 0
}

@c @implementation
public func mue_result_boxes(
  _ result: OpaquePointer?, _ item: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<mue_box>? {
  lend(entry(result, item)?.hypotheses.first?.boxes, count)
}

@c @implementation
public func mue_result_hypothesis_count(_ result: OpaquePointer?, _ item: Int) -> Int {
  entry(result, item)?.hypotheses.count ?? 0
}

@c @implementation
public func mue_result_hypothesis(
  _ result: OpaquePointer?, _ item: Int, _ index: Int, _ hypothesis: UnsafeMutablePointer<mue_hypothesis>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let entries = try ResultBox.take(result, "result").entries
    guard entries.indices.contains(item) else {
      throw .argument("item", "item is \(UInt(bitPattern: item)) and there are \(entries.count)")
    }
    let hypotheses = entries[item].hypotheses
    guard hypotheses.indices.contains(index) else {
      throw .argument("index", "index is \(UInt(bitPattern: index)) and there are \(hypotheses.count) hypotheses")
    }
    try hypotheses[index].view.write(to: hypothesis, "hypothesis")
  }
}

@c @implementation
public func mue_result_answer_count(_ result: OpaquePointer?, _ item: Int) -> Int {
  entry(result, item)?.answers.count ?? 0
}

@c @implementation
public func mue_result_answer(_ result: OpaquePointer?, _ item: Int, _ answer: Int) -> UnsafePointer<CChar>? {
  guard let answers = entry(result, item)?.answers, answers.indices.contains(answer) else { return nil }
  return answers[answer]
}

@c @implementation
public func mue_result_answer_log_probabilities(
  _ result: OpaquePointer?, _ item: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Double>? {
  lend(entry(result, item)?.answerLogProbabilities, count)
}

@c @implementation
public func mue_result_best_answer(_ result: OpaquePointer?, _ item: Int) -> Int64 {
  guard case .scoring(let scoring)? = entry(result, item)?.content else { return -1 }
  return Int64(scoring.best)
}

@c @implementation
public func mue_result_tensor_count(_ result: OpaquePointer?) -> Int { ResultBox.peek(result)?.tensors.count ?? 0 }

@c @implementation
public func mue_result_tensor(
  _ result: OpaquePointer?, _ index: Int, _ tensor: UnsafeMutablePointer<mue_tensor>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let tensors = try ResultBox.take(result, "result").tensors
    guard tensors.indices.contains(index) else {
      throw .argument("index", "index is \(UInt(bitPattern: index)) and there are \(tensors.count) tensors")
    }
    try tensors[index].write(to: tensor)
  }
}

@c @implementation
public func mue_result_tensor_by_name(
  _ result: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
  _ tensor: UnsafeMutablePointer<mue_tensor>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let tensors = try ResultBox.take(result, "result").tensors
    let name = try requiredText(name, nameLength, "name")
    guard let found = tensors.first(where: { $0.name == name }) else {
      throw .argument("name", "the result has no tensor '\(name)'")
    }
    try found.write(to: tensor)
  }
}

@c @implementation
public func mue_result_report(
  _ result: OpaquePointer?, _ item: Int, _ report: UnsafeMutablePointer<mue_report>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let entries = try ResultBox.take(result, "result").entries
    guard entries.indices.contains(item) else {
      throw .argument("item", "item is \(UInt(bitPattern: item)) and there are \(entries.count)")
    }
    try entries[item].report.write(to: report, "report")
  }
}

@c @implementation
public func mue_result_decoder_exits(
  _ result: OpaquePointer?, _ item: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Int32>? {
  lend(entry(result, item)?.decoderExits, count)
}

@c @implementation
public func mue_result_similarities(
  _ result: OpaquePointer?, _ item: Int, _ stream: Int32, _ token: Int, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Double>? {
  guard let streams = entry(result, item)?.similarities, streams.indices.contains(Int(stream)),
    streams[Int(stream)].indices.contains(token)
  else { return lend(UnsafeBufferPointer<Double>?.none, count) }
  return lend(streams[Int(stream)][token], count)
}

@c @implementation
public func mue_result_json(
  _ result: OpaquePointer?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(json, "json")
    target.pointee = try copiedText(ResultBox.take(result, "result").json.serialized())
  }
}

private func entry(_ result: OpaquePointer?, _ item: Int) -> ResultEntry? {
  guard let entries = ResultBox.peek(result)?.entries, entries.indices.contains(item) else { return nil }
  return entries[item]
}

/// An array's address, and its length where the host asked for it.
private func lend<Element>(
  _ array: UnsafeBufferPointer<Element>?, _ count: UnsafeMutablePointer<Int>?
) -> UnsafePointer<Element>? {
  count?.pointee = array?.count ?? 0
  return array?.baseAddress
}
