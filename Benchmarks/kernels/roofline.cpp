// Products with constant weights in float32, bf16 and int8: what our kernels reach of what the processor can do, and of
// oneDNN where that is installed and has a path for this processor. One thread; all take turns.
//   roofline [--json] [--isa portable|avx2|...]
// The limit is the time that the arithmetic takes at the measured peak of the instruction set, or the bytes at the
// measured speed of reading as many, whichever is longer.
#include "mue_kernels.h"
#include "peaks.h"
#include "yardstick.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>
#include <unordered_map>
#if __has_include(<dnnl.hpp>)
#include <dnnl.hpp>
#define HAS_ONEDNN 1
#endif

namespace {

struct Shape { long m, k, n; };
struct Row {
  Shape shape;
  std::string weights, onednn;
  double gflops, limit, theirs; // theirs: 0 where there is none
  bool memory;
};

std::shared_ptr<char> memory(size_t bytes) {
  auto *p = static_cast<char *>(aligned_alloc(64, (bytes + 1087) / 64 * 64));
  if (!p) abort();
  std::memset(p, 1, bytes + 64);
  return {p, free};
}

struct Rival {
  std::function<void()> run;
  std::string name; // of its implementation, or why there is none
};

#if HAS_ONEDNN
// Weights in its own layout; int8: s8 weights with one scale a column, u8 rows, float32 out. What it takes to quantise
// the rows is not in its time, but is in ours.
Rival onednn(Shape s, mk_weights type, const Floats &x, const Floats &w, Floats &y) {
  using tag = dnnl::memory::format_tag;
  using kind = dnnl::memory::data_type;
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  kind left = type == MK_WEIGHTS_INT8 ? kind::u8 : type == MK_WEIGHTS_BF16 ? kind::bf16 : kind::f32;
  kind right = type == MK_WEIGHTS_INT8 ? kind::s8 : left;
  try {
    dnnl::memory::desc xd({s.m, s.k}, left, tag::ab), wa({s.k, s.n}, right, tag::any), yd({s.m, s.n}, kind::f32, tag::ab);
    dnnl::primitive_attr attributes;
    if (type == MK_WEIGHTS_INT8) attributes.set_output_scales(1 << 1, std::vector<float>(size_t(s.n), 0.01f));
    dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(xd, wa, yd), attributes, engine);
    std::string name = pd.impl_info_str();
    if (name.find("ref") == 0) return {nullptr, "only its reference"};
    auto xf = std::make_shared<dnnl::memory>(dnnl::memory::desc({s.m, s.k}, kind::f32, tag::ab), engine, const_cast<float *>(x.data()));
    auto wf = std::make_shared<dnnl::memory>(dnnl::memory::desc({s.k, s.n}, kind::f32, tag::ab), engine, const_cast<float *>(w.data()));
    auto xm = std::make_shared<dnnl::memory>(xd, engine), wm = std::make_shared<dnnl::memory>(pd.weights_desc(), engine);
    auto ym = std::make_shared<dnnl::memory>(yd, engine, y.data());
    dnnl::reorder(*xf, *xm).execute(stream, *xf, *xm);
    dnnl::reorder(*wf, *wm).execute(stream, *wf, *wm);
    stream.wait();
    dnnl::matmul matmul(pd);
    return {[=] {
      std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, *xm}, {DNNL_ARG_WEIGHTS, *wm}, {DNNL_ARG_DST, *ym}};
      matmul.execute(stream, arguments);
      stream.wait();
    }, name};
  } catch (const dnnl::error &error) {
    return {nullptr, "no path on this processor"};
  }
}
#else
Rival onednn(Shape, mk_weights, const Floats &, const Floats &, Floats &) { return {nullptr, "not installed"}; }
#endif

Row measure(Shape s, mk_weights type) {
  static const char *names[] = {"float32", "bf16", "int8"};
  Floats x = randoms(s.m * s.k, 1), w = randoms(s.k * s.n, 2), y(s.m * s.n), z(s.m * s.n);
  size_t bytes = mk_linear_packed_bytes(type, s.k, s.n);
  auto packed = memory(bytes), scratch = memory(mk_linear_scratch(nullptr, type, s.m, s.k, s.n)), other = memory(bytes);
  mk_linear_pack(nullptr, type, w.data(), s.n, 0, s.k, s.n, packed.get());
  Rival rival = onednn(s, type, x, w, z);
  // Few rows are multiplied in float32 with weights in bf16, too.
  bool few = s.m <= MK_NARROW_ROWS;
  const char *isa = mk_isa_name();
  peak_loop peak = type == MK_WEIGHTS_INT8 ? peak_int8(isa)
    : few || type == MK_WEIGHTS_F32      ? peak_float32(isa)
                                         : peak_bf16(isa);
  const long rounds = 10000;
  std::vector<std::function<void()>> rivals = {
    [&] {
      mk_linear(nullptr, type, s.m, s.k, s.n, x.data(), s.k, packed.get(), nullptr, MK_ACT_NONE, nullptr, 0, y.data(), s.n,
        scratch.get());
    },
    [&] { peak.run(rounds); },
    [&] { peak_read(other.get(), bytes / 1024 * 1024); },
  };
  if (rival.run) rivals.push_back(rival.run);
  auto times = race(rivals, 0.6);
  double flops = 2e-9 * double(s.m) * double(s.k) * double(s.n);
  double arithmetic = flops / (peak.operations * rounds * 1e-9 / times[1]);
  double reading = times[2] * double(bytes + 4 * (x.size() + y.size())) / double(bytes);
  return {s, names[type], rival.name, flops / times[0], flops / std::max(arithmetic, reading),
    rival.run ? flops / times[3] : 0, reading > arithmetic};
}

}  // namespace

int main(int argc, char **argv) {
  if (!getenv("OMP_NUM_THREADS")) {
    // oneDNN's OpenMP reads it when the process starts.
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  bool json = false;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--json")) {
      json = true;
    } else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
      std::string wanted = argv[++i];
      int isa = 0;
      while (isa < 16 && !(mk_isa_force(isa) && wanted == mk_isa_name())) isa++;
      if (isa == 16) {
        fprintf(stderr, "roofline: this processor does not have '%s'\n", wanted.c_str());
        return 1;
      }
    } else {
      fprintf(stderr, "usage: roofline [--json] [--isa portable|avx2|avx512|...]\n");
      return 2;
    }
  }
  if (!peak_float32(mk_isa_name()).run) {
    fprintf(stderr, "roofline: no peak is known for '%s'\n", mk_isa_name());
    return 1;
  }
  std::vector<Shape> shapes = {{908, 768, 768}, {908, 3072, 768}, {908, 768, 3072}, {5, 768, 3072}, {5, 3072, 768},
    {5, 768, 59457}, {1, 768, 3072}, {1, 3072, 768}, {1, 768, 59457}};
  if (json) {
    printf("{\"isa\": \"%s\", \"threads\": 1, \"kernels\": [", mk_isa_name());
  } else {
    printf("ours: %s; GFLOP/s of one thread\n", mk_isa_name());
    printf("%5s %5s %6s %-8s %8s %8s %8s %8s %8s %8s\n", "m", "k", "n", "weights", "ours", "limit", "by", "reached", "oneDNN",
      "/oneDNN");
  }
  bool first = true;
  for (Shape s : shapes) {
    for (mk_weights type : {MK_WEIGHTS_F32, MK_WEIGHTS_BF16, MK_WEIGHTS_INT8}) {
      Row row = measure(s, type);
      const char *by = row.memory ? "memory" : "arithmetic";
      if (json) {
        printf("%s\n  {\"m\": %ld, \"k\": %ld, \"n\": %ld, \"weights\": \"%s\", \"gflops\": %.2f, \"limit_gflops\": %.2f, "
          "\"bound\": \"%s\", \"reached\": %.3f, ", first ? "" : ",", s.m, s.k, s.n, row.weights.c_str(), row.gflops, row.limit, by,
          row.gflops / row.limit);
        if (row.theirs > 0) {
          printf("\"onednn_gflops\": %.2f, \"of_onednn\": %.3f, ", row.theirs, row.gflops / row.theirs);
        } else {
          printf("\"onednn_gflops\": null, \"of_onednn\": null, ");
        }
        printf("\"onednn\": \"%s\"}", row.onednn.c_str());
      } else {
        printf("%5ld %5ld %6ld %-8s %8.1f %8.1f %8s %8.2f ", s.m, s.k, s.n, row.weights.c_str(), row.gflops, row.limit,
          row.memory ? "memory" : "sums", row.gflops / row.limit);
        if (row.theirs > 0) {
          printf("%8.1f %8.2f  %s\n", row.theirs, row.gflops / row.theirs, row.onednn.c_str());
        } else {
          printf("%8s %8s  %s\n", "-", "-", row.onednn.c_str());
        }
      }
      first = false;
    }
  }
  if (json) printf("\n]}\n");
}
