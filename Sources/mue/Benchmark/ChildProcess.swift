import JSON
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A process that takes commands on its standard input, a line each, and answers each with a line of JSON on its standard
/// output. What it writes to standard error goes to ours.
final class ChildProcess {
  private let name: String
  private let identifier: pid_t
  private let input: Int32
  private let output: Int32
  private var received: [UInt8] = []

  /// - Parameters:
  ///   - name: for messages.
  ///   - arguments: the program, looked for in PATH, and its arguments.
  ///   - environment: `NAME=VALUE` beside those of this process, whose place they take.
  init(_ name: String, _ arguments: [String], environment: [String] = []) throws(CommandFailure) {
    self.name = name
    var toChild: [Int32] = [0, 0]
    var fromChild: [Int32] = [0, 0]
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else {
      throw CommandFailure("cannot make a pipe: \(String(cString: strerror(errno)))")
    }
    // Our ends, and those of other children, are not for this child: their closing says that it is over.
    for descriptor in toChild + fromChild { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    let names = Set(environment.map { $0.prefix { $0 != "=" } })
    let inherited = (ProcessFile.text("/proc/self/environ") ?? "").split(separator: "\0")
      .filter { !names.contains($0.prefix { $0 != "=" }) }.map(String.init)
    var child: pid_t = 0
    let status = Self.withCStrings(arguments) { arguments in
      Self.withCStrings(inherited + environment) { environment in
        arguments[0].map { posix_spawnp(&child, $0, &actions, nil, arguments, environment) } ?? EINVAL
      }
    }
    close(toChild[0])
    close(fromChild[1])
    input = toChild[1]
    output = fromChild[0]
    identifier = child
    guard status == 0 else {
      close(input)
      close(output)
      throw CommandFailure("cannot run \(arguments.first ?? ""): \(String(cString: strerror(status)))")
    }
  }

  /// Closes its input, which ends it, and waits for that.
  func end() {
    guard !isEnded else { return }
    isEnded = true
    close(input)
    close(output)
    var status: Int32 = 0
    waitpid(identifier, &status, 0)
  }

  private var isEnded = false

  deinit { end() }

  /// Sends a command and waits for the answer; a member `error` becomes the failure.
  func ask(_ command: String) throws(CommandFailure) -> JSONValue {
    let line = Array((command + "\n").utf8)
    var sent = 0
    while sent < line.count {
      let count = line.withUnsafeBytes { write(input, $0.baseAddress.map { $0 + sent }, line.count - sent) }
      guard count > 0 else { throw ended() }
      sent += count
    }
    let answer = try answer()
    let value: JSONValue
    do throws(MueError) { value = try JSONValue.parse(answer) } catch {
      throw CommandFailure("\(name) answered '\(answer.prefix(200))', which is no JSON")
    }
    if let message = value["error"]?.stringValue { throw CommandFailure("\(name): \(message)") }
    return value
  }

  private func answer() throws(CommandFailure) -> String {
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: received[..<end], as: UTF8.self)
        received.removeSubrange(...end)
        return line
      }
      let count = read(output, &block, block.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw ended() }
      received += block[..<count]
    }
  }

  private func ended() -> CommandFailure { CommandFailure("\(name) ended before it answered") }

  private static func withCStrings<Value>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
  ) -> Value {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    return body(&pointers)
  }
}
