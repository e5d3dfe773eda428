// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import JSON
import Tensor

@c @implementation
public func mue_model_open(
  _ path: UnsafePointer<CChar>?, _ pathLength: Int, _ options: UnsafePointer<mue_model_options>?,
  _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(model, "model")
    let path = try requiredText(path, pathLength, "path")
    let options = try HostModelOptions(options)
    let box = try ModelBox(Model.open(path: path, options: options.engine))
    try options.log(opened: box.model, from: path)
    target.pointee = try box.makeHandle()
  }
}

@c @implementation
public func mue_model_parse(
  _ onnx: UnsafeRawPointer?, _ onnxSize: Int, _ options: UnsafePointer<mue_model_options>?,
  _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(model, "model")
    let options = try HostModelOptions(options)
    guard let onnx else { throw .argument("onnx", "onnx is NULL") }
    guard onnxSize >= 0, onnxSize <= options.engine.limits.modelBytes else {
      throw MueError(
        .limitExceeded, "onnx_size is beyond the limit of \(options.engine.limits.modelBytes) bytes",
        at: .init(argument: "onnx_size"))
    }
    let copy = try Buffer(byteCount: onnxSize)
    copy.base.copyMemory(from: onnx, byteCount: onnxSize)
    let box = try ModelBox(Model.parse(onnx: copy, options: options.engine))
    try options.log(opened: box.model, from: "memory")
    target.pointee = try box.makeHandle()
  }
}

@c @implementation
public func mue_model_free(_ model: OpaquePointer?) { ModelBox.free(model) }

@c @implementation
public func mue_model_input_count(_ model: OpaquePointer?) -> Int { ModelBox.peek(model)?.inputs.count ?? 0 }

@c @implementation
public func mue_model_output_count(_ model: OpaquePointer?) -> Int { ModelBox.peek(model)?.outputs.count ?? 0 }

@c @implementation
public func mue_model_input(
  _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<mue_tensor_info>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    try describe(ModelBox.take(model, "model").inputs, index, info)
  }
}

@c @implementation
public func mue_model_output(
  _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<mue_tensor_info>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    try describe(ModelBox.take(model, "model").outputs, index, info)
  }
}

private func describe(
  _ descriptions: [DescriptionLoan], _ index: Int, _ info: UnsafeMutablePointer<mue_tensor_info>?
) throws(MueError) {
  guard descriptions.indices.contains(index) else {
    throw .argument("index", "index is \(UInt(bitPattern: index)) and there are \(descriptions.count)")
  }
  try descriptions[index].write(to: info)
}

@c @implementation
public func mue_model_inspect(
  _ model: OpaquePointer?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(json, "json")
    target.pointee = try copiedText(ModelBox.take(model, "model").model.inspect().serialized())
  }
}
