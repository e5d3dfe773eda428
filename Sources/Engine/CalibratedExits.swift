import Exit
import JSON
import Tensor

/// The thresholds in mue.json: `{"exits": {"calibrated": {"image": .., "text": .., "decoder": {"theta": ..,
/// "schedule": "constant|paper|released", "beta": .., "tau": ..}}}}`.
enum CalibratedExits {
  /// nil when mue.json has none.
  static func read(_ configuration: JSONValue?, file: String) throws(MueError) -> ExitThresholds? {
    guard let configuration, let exits = JSONNode(configuration, file: file)["exits"],
      let calibrated = exits["calibrated"]
    else { return nil }
    let decoder = try calibrated.required("decoder")
    let name = try decoder["schedule"]?.string() ?? DecoderThreshold.Schedule.constant.rawValue
    guard let schedule = DecoderThreshold.Schedule(rawValue: name) else {
      throw decoder.failure("unknown schedule '\(name)'")
    }
    var threshold = DecoderThreshold(theta: try decoder.required("theta").double(), schedule: schedule)
    if let beta = try decoder["beta"]?.double() { threshold.beta = beta }
    if let tau = try decoder["tau"]?.double() { threshold.tau = tau }
    return try ExitThresholds(
      image: calibrated.required("image").double(), text: calibrated.required("text").double(), decoder: threshold)
  }
}
