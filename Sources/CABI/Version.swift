// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue

@c @implementation
public func mue_version() -> Int32 { MUE_VERSION }

@c @implementation
public func mue_version_string() -> UnsafePointer<CChar>? { constantText(versionText) }

@c @implementation
public func mue_build_info() -> UnsafePointer<CChar>? { constantText(buildText) }

var versionText: StaticString { "1.0.0" }

/// Known when compiling, so that asking allocates nothing.
var buildText: StaticString {
  #if arch(x86_64) && DEBUG
    "MuE 1.0.0, Swift 6.3, x86_64 Linux, debug"
  #elseif arch(x86_64)
    "MuE 1.0.0, Swift 6.3, x86_64 Linux, release"
  #elseif arch(arm64) && DEBUG
    "MuE 1.0.0, Swift 6.3, arm64 Linux, debug"
  #elseif arch(arm64)
    "MuE 1.0.0, Swift 6.3, arm64 Linux, release"
  #else
    "MuE 1.0.0, Swift 6.3"
  #endif
}
