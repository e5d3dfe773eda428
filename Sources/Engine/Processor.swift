import CKernels

/// The processor as this process may use it.
public enum Processor {
  /// The instruction set that the kernels use: `avx512`, `avx2` or `portable`.
  public static var instructionSet: String { String(cString: mk_isa_name()) }

  /// Cores that the process may run on, which is what 0 threads stands for.
  public static var usableCores: Int { Int(mk_processor_count()) }
}
