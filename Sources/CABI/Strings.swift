// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Tensor

@c @implementation
public func mue_string_free(_ string: UnsafeMutablePointer<CChar>?) { freeMemory(string) }

/// The texts of an array of `mue_string`; none may be NULL.
func texts(_ strings: UnsafePointer<mue_string>?, count: Int, _ argument: String) throws(MueError) -> [String] {
  let count = try boundedCount(count, "the count of \(argument)")
  guard count > 0 else { return [] }
  guard let strings else { throw .argument(argument, "\(argument) is NULL and its count is not 0") }
  var result: [String] = []
  for index in 0..<count {
    let string = strings[index]
    result.append(try requiredText(string.data, string.length, "\(argument)[\(index)]"))
  }
  return result
}
