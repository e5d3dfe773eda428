// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Decode
import Engine
import Tensor

@c @implementation
public func mue_session_create(
  _ model: OpaquePointer?, _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(session, "session")
    let box = try SessionBox(Session(model: ModelBox.take(model, "model").model))
    target.pointee = try box.makeHandle()
  }
}

@c @implementation
public func mue_session_free(_ session: OpaquePointer?) { SessionBox.free(session) }

@c @implementation
public func mue_session_generate(
  _ session: OpaquePointer?, _ items: UnsafePointer<mue_item>?, _ itemCount: Int,
  _ options: UnsafePointer<mue_generate_options>?, _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(result, "result")
    let box = try SessionBox.take(session, "session")
    let items = try requestItems(items, count: itemCount)
    let options = try HostGenerateOptions(options)
    let generations = try box.exclusively { session throws(MueError) in
      try session.generate(items, options: options.engine, onToken: options.onToken)
    }
    target.pointee = try ResultBox(generations).makeHandle()
  }
}

@c @implementation
public func mue_session_score(
  _ session: OpaquePointer?, _ items: UnsafePointer<mue_item>?, _ itemCount: Int,
  _ answers: UnsafePointer<mue_string>?, _ answerCount: Int, _ options: UnsafePointer<mue_request_options>?,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(result, "result")
    let box = try SessionBox.take(session, "session")
    let items = try requestItems(items, count: itemCount)
    let answers = try texts(answers, count: answerCount, "answers")
    guard !answers.isEmpty else { throw .argument("answers", "answers is empty") }
    let normalization = try AnswerNormalization.read(options)
    let options = try RequestOptions(host: options)
    let scorings = try box.exclusively { session throws(MueError) in
      try session.score(items, answers: answers, normalization: normalization, options: options)
    }
    target.pointee = try ResultBox(scorings).makeHandle()
  }
}

@c @implementation
public func mue_session_forward(
  _ session: OpaquePointer?, _ pixelValues: UnsafePointer<mue_tensor>?, _ inputIDs: UnsafePointer<mue_tensor>?,
  _ decoderInputIDs: UnsafePointer<mue_tensor>?, _ options: UnsafePointer<mue_request_options>?,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(result, "result")
    let box = try SessionBox.take(session, "session")
    let options = try RequestOptions(host: options)
    let limit = box.limits.tensorElements
    let pixels = try requiredTensor(pixelValues, .float32, rank: 4, limit, "pixel_values")
    let inputs = try requiredTensor(inputIDs, .int64, rank: 2, limit, "input_ids")
    let decoderInputs = try requiredTensor(decoderInputIDs, .int64, rank: 2, limit, "decoder_input_ids")
    let forward = try box.exclusively { session throws(MueError) in
      try session.forward(
        pixelValues: pixels, inputIDs: inputs, decoderInputIDs: decoderInputs, options: options)
    }
    target.pointee = try ResultBox(forward).makeHandle()
  }
}

@c @implementation
public func mue_session_run(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<mue_tensor>?, _ inputCount: Int,
  _ outputNames: UnsafePointer<mue_string>?, _ outputCount: Int, _ cancel: OpaquePointer?,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(result, "result")
    let box = try SessionBox.take(session, "session")
    let token = try CancelBox.token(cancel, "cancel")
    let names = try texts(outputNames, count: outputCount, "output_names")
    var tensors: [String: Tensor] = [:]
    for (index, host) in try mue_tensor.readArray(inputs, count: inputCount, "inputs").enumerated() {
      let name = try requiredText(host.name, host.name_length, "inputs[\(index)].name")
      guard tensors[name] == nil else { throw .argument("inputs[\(index)].name", "two inputs are called '\(name)'") }
      tensors[name] = try Tensor(host: host, maximumElements: box.limits.tensorElements, "inputs[\(index)]")
    }
    let (outputs, order) = try box.exclusively { session throws(MueError) in
      let order = names.isEmpty ? session.model.outputs.map(\.name) : names
      return (try session.run(tensors, outputs: names.isEmpty ? nil : names, cancellation: token), order)
    }
    target.pointee = try ResultBox(outputs, order: order).makeHandle()
  }
}

private func requestItems(_ items: UnsafePointer<mue_item>?, count: Int) throws(MueError) -> [RequestItem] {
  guard count != 0 else { throw .argument("item_count", "item_count is 0") }
  var result: [RequestItem] = []
  for (index, item) in try mue_item.readArray(items, count: count, "items").enumerated() {
    let image: ImageInput
    if item.features == nil {
      image = try ImageBox.take(item.image, "items[\(index)].image").input
    } else {
      guard item.image == nil else {
        throw .argument("items[\(index)].features", "items[\(index)] has both an image and features")
      }
      image = .features(try FeaturesBox.take(item.features, "items[\(index)].features").features)
    }
    let prompt = try optionalText(item.prompt, item.prompt_length, "items[\(index)].prompt")
    result.append(RequestItem(image: image, prompt: prompt))
  }
  return result
}

private func requiredTensor(
  _ pointer: UnsafePointer<mue_tensor>?, _ type: ElementType, rank: Int, _ limit: Int, _ argument: String
) throws(MueError) -> Tensor {
  guard let host = try mue_tensor.read(pointer, argument) else { throw .argument(argument, "\(argument) is NULL") }
  let tensor = try Tensor(host: host, maximumElements: limit, argument)
  guard tensor.type == type, tensor.shape.count == rank else {
    throw .argument(
      argument, "\(argument) is \(tensor.type.name) \(tensor.shape) and must be \(type.name) of rank \(rank)")
  }
  return tensor
}
