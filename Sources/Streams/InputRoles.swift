import Graph
import JSON
import Tensor

/// Which graph input is what. Conventional names are recognised; `roles` in mue.json may name others.
public struct InputRoles: Sendable {
  public var pixelValues: Graph.Port
  public var inputIDs: Graph.Port
  public var decoderInputIDs: Graph.Port
  public var logits: Graph.Port

  private static let names: [String: [String]] = [
    "pixel_values": ["pixel_values", "patch_images", "images", "image", "pixels"],
    "input_ids": ["input_ids", "src_tokens", "text", "prompt_ids"],
    "decoder_input_ids": ["decoder_input_ids", "prev_output_tokens", "decoder_ids"],
    "logits": ["logits", "output", "lm_logits"],
  ]

  /// nil when the graph is not a unified encoder-decoder; throws when mue.json names a value that is not there.
  public init?(_ graph: Graph, configuration: JSONValue?) throws(MueError) {
    func port(_ role: String, among ports: [Graph.Port]) throws(MueError) -> Graph.Port? {
      if let name = Self.configuredName(role, configuration) {
        guard let port = ports.first(where: { $0.name == name }) else {
          throw MueError(
            .invalidModel, "mue.json gives '\(name)' the role \(role), but the graph has no such value",
            at: .init(file: graph.file, field: "roles.\(role)"))
        }
        return port
      }
      for name in Self.names[role] ?? [] {
        if let port = ports.first(where: { $0.name == name }) { return port }
      }
      return nil
    }
    guard let pixelValues = try port("pixel_values", among: graph.inputs),
      let inputIDs = try port("input_ids", among: graph.inputs),
      let decoderInputIDs = try port("decoder_input_ids", among: graph.inputs),
      let logits = try port("logits", among: graph.outputs)
    else { return nil }
    self.pixelValues = pixelValues
    self.inputIDs = inputIDs
    self.decoderInputIDs = decoderInputIDs
    self.logits = logits
  }

  private static func configuredName(_ role: String, _ configuration: JSONValue?) -> String? {
    guard case .object(let object)? = configuration, case .object(let roles)? = object["roles"],
      case .string(let name)? = roles[role]
    else { return nil }
    return name
  }
}
