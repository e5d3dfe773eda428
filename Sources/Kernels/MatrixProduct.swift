import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// c_i[m, n] = alpha * op(a_i) op(b_i) for a batch of matrices: what MatMul, Gemm and Einsum come down to.
///
/// Offsets are in elements, one per product. Float32 goes to the C kernel, the rest through one plain loop.
struct MatrixProduct {
  var m: Int
  var n: Int
  var k: Int
  var alpha: Float = 1
  var transposesA = false
  var transposesB = false
  var offsetsA: [Int] = [0]
  var offsetsB: [Int] = [0]

  /// A step that writes the products one after the other to `c`.
  ///
  /// - Parameters a, b, c: addresses that may depend on scratch, so they are asked for when the step runs.
  func step(
    _ type: ElementType, _ call: Call, scratchOffset: Int = 0, a: @escaping () -> UnsafeMutableRawPointer,
    b: @escaping () -> UnsafeMutableRawPointer, c: @escaping () -> UnsafeMutableRawPointer
  ) throws(MueError) -> Step {
    let count = offsetsA.count &* m &* n
    guard count > 0 else { return {} }
    if k == 0 {
      let bytes = count &* type.byteWidth
      return { () throws(MueError) in memset(c(), 0, bytes) }
    }
    guard type == .float32 else {
      return try type.visit(ProductVisitor(product: self, isFloat: type.isFloatingPoint, a: a, b: b, c: c))
    }
    var arguments = mk_gemm_args()
    arguments.batch = offsetsA.count
    arguments.m = m
    arguments.n = n
    arguments.k = k
    arguments.alpha = alpha
    arguments.lda = transposesA ? m : k
    arguments.ldb = transposesB ? k : n
    arguments.ldc = n
    arguments.trans_a = transposesA ? 1 : 0
    arguments.trans_b = transposesB ? 1 : 0
    arguments.stride_c = m &* n
    let (pool, scratch) = (call.context.pool, call.scratch)
    let tables = try OffsetTables(offsetsA, offsetsB)
    arguments.offsets_a = tables.first
    arguments.offsets_b = tables.second
    try scratch.reserve(scratchOffset + mk_gemm_batched_scratch(pool, &arguments))
    let ready = arguments
    return { () throws(MueError) in
      var arguments = ready
      arguments.a = UnsafePointer(a().assumingMemoryBound(to: Float.self))
      arguments.b = UnsafePointer(b().assumingMemoryBound(to: Float.self))
      arguments.c = c().assumingMemoryBound(to: Float.self)
      withExtendedLifetime(tables) {
        mk_gemm_batched(pool, &arguments, scratch.base.map { $0 + scratchOffset })
      }
    }
  }
}

/// The offsets of a batch at fixed addresses.
private final class OffsetTables {
  let first: UnsafePointer<Int>
  let second: UnsafePointer<Int>
  private let buffer: Buffer

  init(_ a: [Int], _ b: [Int]) throws(MueError) {
    buffer = try Buffer(byteCount: (a.count &+ b.count) &* MemoryLayout<Int>.stride)
    let base = buffer.base.bindMemory(to: Int.self, capacity: a.count &+ b.count)
    for index in a.indices { base[index] = a[index] }
    for index in b.indices { base[a.count &+ index] = b[index] }
    first = UnsafePointer(base)
    second = UnsafePointer(base + a.count)
  }
}

private struct ProductVisitor: NumericVisitor {
  let product: MatrixProduct
  let isFloat: Bool
  let a: () -> UnsafeMutableRawPointer
  let b: () -> UnsafeMutableRawPointer
  let c: () -> UnsafeMutableRawPointer

  func visit<Element: NumericElement>(_ type: Element.Type) -> Step {
    let (p, isFloat, a, b, c) = (product, isFloat, a, b, c)
    let (rowA, columnA) = p.transposesA ? (1, p.m) : (p.k, 1)
    let (rowB, columnB) = p.transposesB ? (1, p.k) : (p.n, 1)
    let width = MemoryLayout<Element>.stride
    let scales = p.alpha != 1
    return { () throws(MueError) in
      var target = c()
      for index in p.offsetsA.indices {
        let left = a() + p.offsetsA[index] &* width
        let right = b() + p.offsetsB[index] &* width
        for row in 0..<p.m {
          for column in 0..<p.n {
            var sum = Element.zero
            // Floats are added up in double precision.
            var wide = 0.0
            for inner in 0..<p.k {
              let x = left.load(fromByteOffset: (row &* rowA &+ inner &* columnA) &* width, as: type)
              let y = right.load(fromByteOffset: (inner &* rowB &+ column &* columnB) &* width, as: type)
              if isFloat { wide += x.asDouble * y.asDouble } else { sum = Element.sum(sum, Element.product(x, y)) }
            }
            let value =
              isFloat || scales
              ? Element(converting: (isFloat ? wide : sum.asDouble) * Double(p.alpha)) : sum
            target.storeBytes(of: value, as: type)
            target += width
          }
        }
      }
    }
  }
}
