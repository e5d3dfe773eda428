#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
func exponential(_ x: Double) -> Double { exp(x) }
func logarithm(_ x: Double) -> Double { log(x) }
