import ArgumentParser
import CMue

/// The options that requests share.
struct RequestArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "off, calibrated (the thresholds of mue.json), or three thresholds IMAGE,TEXT,DECODER; 1 or more is never.",
      valueName: "off|calibrated|I,T,D"))
  var exits = "off"

  @Option(
    help: "row: one decision per sample and row; joint: one for the whole batch, as the MuE authors' code has it.")
  var rule = Rule.row

  @Option(help: "How the decoder's threshold changes over the tokens: constant, paper or released.")
  var schedule = Schedule.constant

  @Flag(help: "Report the similarity after every layer that ran.")
  var similarities = false

  enum Rule: String, ExpressibleByArgument, CaseIterable { case row, joint }
  enum Schedule: String, ExpressibleByArgument, CaseIterable { case constant, paper, released }

  func settings() throws(CommandFailure) -> RequestSettings {
    var settings = RequestSettings(exits: try ExitsArgument.parse(exits), similarities: similarities)
    settings.exits.rule = rule == .joint ? MUE_RULE_JOINT : MUE_RULE_ROW
    switch schedule {
    case .constant: settings.exits.schedule = MUE_SCHEDULE_CONSTANT
    case .paper: settings.exits.schedule = MUE_SCHEDULE_PAPER
    case .released: settings.exits.schedule = MUE_SCHEDULE_RELEASED
    }
    return settings
  }
}

/// What a request does beside its question.
struct RequestSettings {
  var exits: mue_exits
  var similarities = false

  /// Full depth.
  static var fullDepth: RequestSettings {
    var exits = mue_exits()
    exits.struct_size = MemoryLayout<mue_exits>.size
    return RequestSettings(exits: exits)
  }
}

/// The value of `--exits`.
enum ExitsArgument {
  /// A wrong value is a failed request, not wrong usage: it may come from a file or a program.
  static func parse(_ text: String) throws(CommandFailure) -> mue_exits {
    var exits = RequestSettings.fullDepth.exits
    switch text {
    case "off": return exits
    case "calibrated":
      exits.mode = MUE_EXITS_CALIBRATED
      return exits
    default:
      let parts = text.split(separator: ",", omittingEmptySubsequences: false)
      let numbers = parts.compactMap { Double($0) }
      guard parts.count == 3, numbers.count == 3 else {
        throw CommandFailure("--exits '\(text)' is neither off, calibrated, nor three numbers IMAGE,TEXT,DECODER")
      }
      // Whether the numbers are finite is for the library to say.
      exits.mode = MUE_EXITS_THRESHOLDS
      (exits.image, exits.text, exits.decoder) = (numbers[0], numbers[1], numbers[2])
      return exits
    }
  }
}
