// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import JSON
import Tensor

@c @implementation
public func mue_system_info(_ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(json, "json")
    let cores = Processor.usableCores
    let info: JSONValue = [
      "version": .string(String(cString: constantText(versionText))),
      "build": .string(String(cString: constantText(buildText))),
      "cpu": .string(Processor.instructionSet), "cores": .int(cores), "threads": .int(cores),
    ]
    target.pointee = try copiedText(info.serialized())
  }
}
