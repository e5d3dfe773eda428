import Tensor

/// Runs `body`; an error gets `name`, or `name[index]`, in front of its field path, so that paths cost nothing until
/// something fails.
@inline(__always)
func within<Result>(
  _ name: StaticString, _ index: Int? = nil, _ body: () throws(MueError) -> Result
) throws(MueError) -> Result {
  do {
    return try body()
  } catch {
    throw error.inField(index.map { "\(name)[\($0)]" } ?? "\(name)")
  }
}

extension MueError {
  /// The same error with `component` in front of its field path.
  func inField(_ component: String) -> MueError {
    var error = self
    error.location.field = location.field.map { "\(component).\($0)" } ?? component
    return error
  }
}
