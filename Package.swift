// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let cStrict: [CSetting] = [.unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"])]

let package = Package(
  name: "MuE",
  products: [
    .library(name: "MuELibrary", type: .dynamic, targets: ["CABI"]),
    .executable(name: "mue", targets: ["mue"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // Data flows downwards in this list: a target depends only on targets above it.
    .target(name: "Tensor", swiftSettings: strict),
    .target(name: "JSON", dependencies: ["Tensor"], swiftSettings: strict),
    .target(name: "ONNXFormat", dependencies: ["Tensor"], swiftSettings: strict),
    .target(name: "CKernels", cSettings: cStrict, linkerSettings: [.linkedLibrary("m"), .linkedLibrary("pthread")]),
    .target(name: "Kernels", dependencies: ["Tensor", "CKernels"], swiftSettings: strict),
    .target(name: "Graph", dependencies: ["Tensor", "ONNXFormat", "Kernels"], swiftSettings: strict),
    .target(name: "Plan", dependencies: ["Tensor", "CKernels", "Kernels", "Graph"], swiftSettings: strict),
    .target(name: "Streams", dependencies: ["Tensor", "Graph", "JSON"], swiftSettings: strict),
    .target(name: "Exit", dependencies: ["Tensor", "CKernels", "JSON"], swiftSettings: strict),
    .target(
      name: "Decode", dependencies: ["Tensor", "CKernels", "Kernels", "Graph", "Plan", "Streams", "Exit"],
      swiftSettings: strict),
    .target(
      name: "CCodecs", cSettings: cStrict,
      linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
    .target(name: "Vision", dependencies: ["Tensor", "JSON", "CCodecs"], swiftSettings: strict),
    .target(name: "Text", dependencies: ["Tensor", "JSON"], swiftSettings: strict),
    .target(
      name: "Engine",
      dependencies: [
        "Tensor", "JSON", "ONNXFormat", "CKernels", "Kernels", "Graph", "Plan", "Streams", "Exit", "Decode", "Text",
        "Vision",
      ],
      swiftSettings: strict),
    .systemLibrary(name: "CMue", path: "include"),
    .target(
      name: "CABI", dependencies: ["CMue", "Tensor", "JSON", "Kernels", "Exit", "Decode", "Vision", "Engine"],
      swiftSettings: strict),
    .target(
      name: "COnnxCheck",
      cxxSettings: [.unsafeFlags(["-DONNX_ML=1", "-DONNX_NAMESPACE=onnx", "-std=c++17", "-w"])],
      linkerSettings: [
        .linkedLibrary("onnx"), .linkedLibrary("onnx_proto"), .linkedLibrary("protobuf"), .linkedLibrary("stdc++"),
      ]),
    .executableTarget(
      name: "mue",
      dependencies: [
        "CMue", "CABI", "COnnxCheck", "JSON", "Tensor",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    .testTarget(name: "TensorTests", dependencies: ["Tensor"], swiftSettings: strict),
    .testTarget(name: "JSONTests", dependencies: ["JSON", "Tensor"], swiftSettings: strict),
    .testTarget(name: "ONNXFormatTests", dependencies: ["ONNXFormat", "Tensor", "COnnxCheck"], swiftSettings: strict),
    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "Tensor", "CKernels", "ONNXFormat"], swiftSettings: strict),
    .testTarget(name: "GraphTests", dependencies: ["Graph", "Plan", "Kernels", "Tensor"], swiftSettings: strict),
    .testTarget(name: "PlanTests", dependencies: ["Plan", "Tensor"], swiftSettings: strict),
    .testTarget(name: "StreamsTests", dependencies: ["Streams", "Graph", "Kernels", "Tensor"], swiftSettings: strict),
    .testTarget(name: "ExitTests", dependencies: ["Exit", "Tensor"], swiftSettings: strict),
    .testTarget(
      name: "DecodeTests", dependencies: ["Decode", "Exit", "CKernels", "Kernels", "Tensor"], swiftSettings: strict),
    .testTarget(name: "VisionTests", dependencies: ["Vision", "JSON", "Tensor"], swiftSettings: strict),
    .testTarget(name: "TextTests", dependencies: ["Text", "JSON", "Tensor"], swiftSettings: strict),
    .testTarget(name: "CommandTests", dependencies: ["mue", "JSON", "Tensor"], swiftSettings: strict),
    .testTarget(
      name: "EngineTests", dependencies: ["Engine", "JSON", "Exit", "Kernels", "Tensor"], swiftSettings: strict),
  ]
)
