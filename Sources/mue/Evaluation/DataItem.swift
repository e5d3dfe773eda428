import JSON
import Tensor

/// One line of a data set's data.jsonl.
struct DataItem {
  /// The image's path.
  let image: String
  let prompt: String?
  let task: Task
  /// What is right: captions, or the right answer.
  let references: [String]
  /// A closed set; empty when the answer is free text.
  let answers: [String]

  enum Task: String, CaseIterable {
    case caption, entailment, vqa
  }

  /// The items of a folder, in order.
  static func load(folder: String) throws(CommandFailure) -> [DataItem] {
    let file = "\(folder)/data.jsonl"
    let buffer = try converting { () throws(MueError) in try FileReader.bytes(path: file, limit: 1 << 30) }
    let bytes = UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount)
    var items: [DataItem] = []
    for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
      let item = try converting { () throws(MueError) -> DataItem? in
        do throws(MueError) {
          let value = try JSONValue.parse(Array(line))
          return try DataItem(JSONNode(value, file: file), folder: folder)
        } catch {
          var error = error.located(.init(file: file))
          error.message = "line \(number + 1): \(error.message)"
          throw error
        }
      }
      if let item { items.append(item) }
    }
    guard !items.isEmpty else { throw CommandFailure("\(file) has no items") }
    return items
  }

  init(_ node: JSONNode, folder: String) throws(MueError) {
    let name = try node.required("image").string()
    image = name.hasPrefix("/") ? name : "\(folder)/\(name)"
    prompt = try node["prompt"]?.string()
    let task = try node.required("task")
    guard let known = Task(rawValue: try task.string()) else {
      throw task.failure("the task is none of \(Task.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    self.task = known
    references = try node.required("references").strings()
    answers = try node["answers"]?.strings() ?? []
    guard !references.isEmpty else { throw node.failure("references is empty") }
  }
}
