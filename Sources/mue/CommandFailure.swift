import CMue
import Tensor

/// A request that failed: its message goes to standard error, and the exit status becomes 1.
struct CommandFailure: Error {
  let message: String

  init(_ message: String) { self.message = message }

  init(_ error: MueError) { message = error.description }
}

/// Throws the error that a C function returned, and frees it.
func check(_ error: OpaquePointer?) throws(CommandFailure) {
  guard let error else { return }
  defer { mue_error_free(error) }
  throw CommandFailure(text(mue_error_description(error)) ?? "unknown error")
}

/// A copy of a borrowed C string.
func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }

/// Runs engine code that the command line shares (JSON, files), with its errors as failures of the command.
func converting<Value>(_ body: () throws(MueError) -> Value) throws(CommandFailure) -> Value {
  do throws(MueError) { return try body() } catch { throw CommandFailure(error) }
}
