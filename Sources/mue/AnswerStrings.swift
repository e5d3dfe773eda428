import CMue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Texts as an array of `mue_string`, at a fixed address.
final class AnswerStrings {
  let pointer: UnsafePointer<mue_string>?
  let count: Int
  private let copies: [UnsafeMutablePointer<CChar>?]
  private let memory: UnsafeMutablePointer<mue_string>?

  /// nil: no set of answers.
  init(_ answers: [String]?) {
    let answers = answers ?? []
    copies = answers.map { strdup($0) }
    count = answers.count
    memory = answers.isEmpty ? nil : .allocate(capacity: answers.count)
    pointer = memory.map { UnsafePointer($0) }
    for (index, answer) in answers.enumerated() {
      (memory.map { $0 + index })?.initialize(
        to: mue_string(data: copies[index].map { UnsafePointer($0) }, length: answer.utf8.count))
    }
  }

  deinit {
    for copy in copies { free(copy) }
    memory?.deallocate()
  }
}
