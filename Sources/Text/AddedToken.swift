import JSON
import Tensor

/// A token that is looked for in the text itself, before the model sees it.
struct AddedToken: Sendable {
  var id: Int
  var content: String
  /// Match only where no word character touches it.
  var isSingleWord = false
  /// Take the white space before it along.
  var stripsLeft = false
  /// Take the white space behind it along.
  var stripsRight = false
  /// Match in the normalised text instead of the original one.
  var isNormalized = false
  /// Left out by decoding with `skipSpecialTokens`.
  var isSpecial = false
}

extension AddedToken {
  init(_ node: JSONNode) throws(MueError) {
    let isSpecial = try node["special"]?.bool() ?? false
    self.init(
      id: try node.required("id").int(in: 0...Int(Int32.max)),
      content: try node.required("content").string(),
      isSingleWord: try node["single_word"]?.bool() ?? false,
      stripsLeft: try node["lstrip"]?.bool() ?? false,
      stripsRight: try node["rstrip"]?.bool() ?? false,
      isNormalized: try node["normalized"]?.bool() ?? !isSpecial,
      isSpecial: isSpecial)
  }
}
