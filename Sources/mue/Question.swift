import CMue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One question about one image.
struct Question {
  let image: ImageHandle
  /// nil takes the model's default prompt.
  let prompt: String?

  /// Calls `body` with the questions as an array of `mue_item`.
  static func withItems<Value>(
    _ questions: [Question], _ body: (UnsafePointer<mue_item>?, Int) throws(CommandFailure) -> Value
  ) throws(CommandFailure) -> Value {
    var items: [mue_item] = []
    defer { for item in items { free(UnsafeMutablePointer(mutating: item.prompt)) } }
    for question in questions {
      let prompt = question.prompt.flatMap { strdup($0) }
      items.append(
        mue_item(
          struct_size: MemoryLayout<mue_item>.size, image: question.image.pointer,
          prompt: prompt.map { UnsafePointer($0) }, prompt_length: question.prompt?.utf8.count ?? 0, features: nil))
    }
    return try body(items, items.count)
  }
}
