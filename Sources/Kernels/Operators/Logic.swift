import Tensor

/// And, Or, Xor, Not on bool; two-operand forms broadcast. Any byte other than 0 counts as true.
extension Operator {
  static let logic: [Operator] = [
    logic("And") { $0 && $1 }, logic("Or") { $0 || $1 }, logic("Xor") { $0 != $1 },
    Operator(
      "Not",
      infer: { node throws(MueError) in
        try node.require(0, .bool)
        return [TensorInfo(.bool, try node.input(0).shape)]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let count = output.count
        return { () throws(MueError) in
          for index in 0..<count {
            let value = input.pointer.load(fromByteOffset: index, as: UInt8.self)
            output.pointer.storeBytes(of: value == 0 ? 1 : 0, toByteOffset: index, as: UInt8.self)
          }
        }
      }),
  ]

  private static func logic(_ name: String, _ apply: @escaping @Sendable (Bool, Bool) -> Bool) -> Operator {
    Operator(
      name, versions: 7...28,
      infer: { node throws(MueError) in
        try node.require(0, .bool)
        _ = try node.input(1)
        return try node.broadcastAll()
      },
      prepare: { call throws(MueError) in
        let (a, b, output) = (try call.input(0), try call.input(1), try call.output())
        let loop = StridedLoop.elementwise([a, b], output)
        return { () throws(MueError) in
          try loop.run { (at) throws(MueError) in
            var offset = at
            for _ in 0..<loop.inner.extent {
              let value = apply(
                a.pointer.load(fromByteOffset: offset[1], as: UInt8.self) != 0,
                b.pointer.load(fromByteOffset: offset[2], as: UInt8.self) != 0)
              output.pointer.storeBytes(of: value ? 1 : 0, toByteOffset: offset[0], as: UInt8.self)
              offset = offset &+ loop.inner.strides
            }
          }
        }
      })
  }
}
