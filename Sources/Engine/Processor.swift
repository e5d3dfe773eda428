import CKernels

/// The processor as this process may use it.
public enum Processor {
  /// The instruction set that the kernels use: `avx512`, `avx2`, `neon` or `portable`; behind it, in parentheses, what the
  /// environment variable MUE_ISA had to do with it, where it is set.
  public static var instructionSet: String {
    let note = String(cString: mk_isa_note())
    return String(cString: mk_isa_name()) + (note.isEmpty ? "" : " (\(note))")
  }

  /// Cores that the process may run on, which is what 0 threads stands for.
  public static var usableCores: Int { Int(mk_processor_count()) }
}
