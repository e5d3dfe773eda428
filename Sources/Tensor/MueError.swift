/// What went wrong, why, and where; the one error type of the engine, carried by typed throws.
///
/// The C library turns it into a `mue_error` without losing a field.
public struct MueError: Error, Sendable, CustomStringConvertible {
  /// The kind of failure; raw values are the `MUE_E_*` codes of `include/mue.h`.
  public enum Code: Int32, Sendable {
    /// An argument of the caller is outside its contract.
    case invalidArgument = 1
    /// A file or folder does not exist.
    case notFound = 2
    /// The operating system refused to read or map a file.
    case inputOutput = 3
    /// A model file is malformed or inconsistent.
    case invalidModel = 4
    /// A well-formed model, operator, attribute or image uses something the engine lacks.
    case unsupported = 5
    /// A size goes beyond the configured limits.
    case limitExceeded = 6
    /// Memory could not be allocated.
    case outOfMemory = 7
    /// The caller cancelled the request.
    case cancelled = 8
    /// Image bytes cannot be decoded.
    case invalidImage = 9
    /// A tokenizer, configuration or other JSON file is malformed, or text cannot be encoded.
    case invalidText = 10
    /// The engine broke one of its own invariants: a defect of MuE.
    case `internal` = 11
    /// The session is running another request.
    case busy = 12
  }

  /// Where it went wrong; every field that is known is given.
  public struct Location: Sendable, Equatable {
    public var file: String?
    public var byteOffset: Int?
    /// A protobuf or JSON field path, such as `graph.node[3].attribute[0].ints`.
    public var field: String?
    public var node: String?
    public var operatorName: String?
    public var argument: String?

    public init(
      file: String? = nil, byteOffset: Int? = nil, field: String? = nil, node: String? = nil,
      operatorName: String? = nil, argument: String? = nil
    ) {
      self.file = file
      self.byteOffset = byteOffset
      self.field = field
      self.node = node
      self.operatorName = operatorName
      self.argument = argument
    }
  }

  public var code: Code
  public var message: String
  public var location: Location

  public init(_ code: Code, _ message: String, at location: Location = Location()) {
    self.code = code
    self.message = message
    self.location = location
  }

  /// The same error with the fields of `outer` filled in where this one leaves them open.
  public func located(_ outer: Location) -> MueError {
    var error = self
    error.location.file = location.file ?? outer.file
    error.location.byteOffset = location.byteOffset ?? outer.byteOffset
    error.location.field = location.field ?? outer.field
    error.location.node = location.node ?? outer.node
    error.location.operatorName = location.operatorName ?? outer.operatorName
    error.location.argument = location.argument ?? outer.argument
    return error
  }

  public var description: String {
    var places: [String] = []
    if let file = location.file { places.append(file) }
    if let offset = location.byteOffset { places.append("byte \(offset)") }
    if let field = location.field { places.append("field \(field)") }
    if let node = location.node { places.append("node '\(node)'") }
    if let operatorName = location.operatorName { places.append("operator \(operatorName)") }
    if let argument = location.argument { places.append("argument \(argument)") }
    return places.isEmpty ? message : "\(message) (\(places.joined(separator: ", ")))"
  }
}
