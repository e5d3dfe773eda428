import ArgumentParser
import CMue
import COnnxCheck
import JSON

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Says whether a model can be loaded, and if not, what is wrong and where.",
    discussion: """
      Two opinions on an ONNX file: MuE's, which decides the exit status, and that of libonnx's checker where it knows \
      the file's version.
      """)

  @Argument(help: "An ONNX file, or a bundle directory (then only MuE's opinion).") var file: String
  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    let diagnosis = Diagnosis(path: file)
    let second = SecondOpinion(path: file)
    if json {
      let report: JSONValue = ["file": .string(file), "mue": diagnosis.json, "libonnx": second.json]
      StandardStream.output(report.serialized() + "\n")
    } else {
      StandardStream.output("MuE: \(diagnosis.line)\nlibonnx: \(second.line)\n")
    }
    if diagnosis.error != nil { throw ExitStatus.failed }
  }
}

/// The end of a command that has already said everything.
enum ExitStatus: Error {
  case failed
}

/// What MuE makes of a file.
private struct Diagnosis {
  /// nil when the model loads.
  let error: JSONObject?
  let line: String

  init(path: String) {
    var model: OpaquePointer?
    guard let failure = mue_model_open(path, path.utf8.count, nil, &model) else {
      line =
        "loads, \(mue_model_input_count(model)) inputs, \(mue_model_output_count(model)) outputs"
      error = nil
      mue_model_free(model)
      return
    }
    defer { mue_error_free(failure) }
    line = text(mue_error_description(failure)) ?? ""
    var members: [(String, JSONValue)] = [
      ("code", .int(Int(mue_error_code(failure)))), ("message", .string(text(mue_error_message(failure)) ?? "")),
    ]
    let places: [(String, UnsafePointer<CChar>?)] = [
      ("file", mue_error_file(failure)), ("field", mue_error_field(failure)), ("node", mue_error_node(failure)),
      ("operator", mue_error_operator(failure)), ("argument", mue_error_argument(failure)),
    ]
    for (name, place) in places {
      if let place = text(place) { members.append((name, .string(place))) }
    }
    let offset = mue_error_byte_offset(failure)
    if offset >= 0 { members.append(("byte_offset", .int(Int(offset)))) }
    error = JSONObject(members)
  }

  var json: JSONValue {
    ["loads": .bool(error == nil), "error": error.map { .object($0) } ?? .null]
  }
}

/// What libonnx makes of it.
private struct SecondOpinion {
  private let status: String
  private let message: String

  init(path: String) {
    var pointer: UnsafeMutablePointer<CChar>?
    let result = onnx_check_model(path, &pointer)
    message = text(pointer) ?? ""
    onnx_check_free(pointer)
    switch result {
    case ONNX_CHECK_VALID: status = "valid"
    case ONNX_CHECK_INVALID: status = "invalid"
    case ONNX_CHECK_UNKNOWN_VERSION: status = "no opinion"
    default: status = "unreadable"
    }
  }

  var line: String { message.isEmpty ? status : "\(status): \(message)" }
  var json: JSONValue { ["status": .string(status), "message": .string(message)] }
}
