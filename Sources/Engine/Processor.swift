import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The processor as this process may use it.
public enum Processor {
  /// The instruction set that the kernels use: `avx512`, `avx2` or `portable`.
  public static var instructionSet: String { String(cString: mk_isa_name()) }

  /// Cores that the process may run on, which is what 0 threads stands for.
  public static var usableCores: Int {
    var set = cpu_set_t()
    guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 else { return 1 }
    let cores = withUnsafeBytes(of: &set) { bytes in bytes.reduce(0) { $0 + $1.nonzeroBitCount } }
    return max(cores, 1)
  }
}
