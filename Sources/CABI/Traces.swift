// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import JSON
import Tensor

@c @implementation
public func mue_session_trace_begin(_ session: OpaquePointer?, _ detail: Int32) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let box = try SessionBox.take(session, "session")
    let detail = try code(detail, below: 2, "detail")
    try box.exclusively { session throws(MueError) in
      try session.beginTrace(detail == MUE_TRACE_PHASES ? .phases : .operators)
    }
  }
}

@c @implementation
public func mue_session_trace_end(
  _ session: OpaquePointer?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(json, "json")
    let box = try SessionBox.take(session, "session")
    let trace = try box.exclusively { session throws(MueError) in try session.endTrace() }
    target.pointee = try copiedText(trace.serialized())
  }
}
