// What our kernels reach of what the processor can do, and of oneDNN where that is installed and has a path for this
// processor. One thread; all take turns.
#pragma once
#include "mue_kernels.h"
#include "peaks.h"
#include "yardstick.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#if __has_include(<dnnl.hpp>)
#include <dnnl.hpp>
#include <unordered_map>
#define HAS_ONEDNN 1
#endif

struct Row {
  std::string name, shape, weights;
  double gflops;
  // The time that the arithmetic takes at the measured peak of the instruction set, or the bytes at the measured speed of
  // reading as many, whichever is longer.
  double limit;
  bool is_memory; // which of them
  double theirs;  // of oneDNN, 0 where there is none
  std::string onednn; // its implementation, or why there is none
  double gflop = 0;
  long uses = 0; // of a convolution, by ResNet-101's first three stages
};

struct Rival {
  std::function<void()> run;
  std::string name;
};

// What a product or convolution does, and what it reads and writes at least.
struct Work {
  double gflop, bytes;
  mk_weights weights;
  bool few; // rows: bf16 weights meet float32, int8 ones pairs of int16
};

// What threads reach together: GFLOP/s of float32, bf16, pairs of int16 and bytes at most; GB/s, the median and at most.
// Processors of a virtual machine may share a way to memory in one minute and have one each in the next.
struct Peaks { double float32, bf16, int16, int8, read, most_read; };
Peaks measure_peaks(int threads);

inline std::shared_ptr<char> memory(size_t bytes) {
  auto *p = static_cast<char *>(aligned_alloc(64, (bytes + 1087) / 64 * 64));
  if (!p) abort();
  std::memset(p, 1, bytes + 64);
  return {p, free};
}

// `row` has the names; the figures are put in.
Row measure(Row row, const Work &work, const std::function<void()> &ours, const Rival &rival);

#if HAS_ONEDNN
inline dnnl::engine &onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Runs a primitive; throws dnnl::error when there is none for this processor.
template <class Primitive>
Rival onednn_rival(const typename Primitive::primitive_desc &description, std::unordered_map<int, dnnl::memory> arguments) {
  std::string name = description.impl_info_str();
  if (name.find("ref") == 0) return {nullptr, "only its reference"};
  Primitive primitive(description);
  return {[=] {
    static dnnl::stream stream(onednn_engine());
    primitive.execute(stream, arguments);
    stream.wait();
  }, name};
}

// Float values in another type and layout.
inline dnnl::memory onednn_copy(const dnnl::memory::desc &from, const Floats &values, const dnnl::memory::desc &to) {
  dnnl::stream stream(onednn_engine());
  dnnl::memory source(from, onednn_engine(), const_cast<float *>(values.data())), target(to, onednn_engine());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
  return target;
}
#endif

// Products of constant weights: x [m, k], w [k, n].
std::vector<Row> product_rows();
// The convolutions of a ResNet-101 at 480 x 480 pixels, as OFA has it.
std::vector<Row> convolution_rows();
