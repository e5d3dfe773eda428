// y[m, n] = x[m, k] w[k, n] with constant w: ours, OpenBLAS and oneDNN (weights in its own layout), one thread.
#include "mue_kernels.h"
#include "yardstick.h"

#include <cblas.h>
#include <cmath>
#include <cstdlib>
#include <dnnl.hpp>
#include <string>
#include <unistd.h>
#include <unordered_map>

extern "C" char *openblas_get_corename(void);

int main(int argc, char **argv) {
  if (!getenv("OMP_NUM_THREADS")) {
    // oneDNN's OpenMP reads it when the process starts.
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  openblas_set_num_threads(1);
  setvbuf(stdout, nullptr, _IOLBF, 0);
  printf("ours: %s, OpenBLAS: %s; GFLOP/s of one thread\n", mk_isa_name(), openblas_get_corename());
  printf("%5s %5s %6s %8s %8s %8s %9s %9s %9s\n", "m", "k", "n", "ours", "OpenBLAS", "oneDNN", "/OpenBLAS", "/oneDNN", "max diff");
  struct Shape { long m, k, n; };
  std::vector<Shape> shapes = {
    {1, 768, 768}, {1, 768, 3072}, {1, 3072, 768}, {2, 768, 768}, {4, 768, 768}, {5, 768, 768}, {8, 768, 768}, {16, 768, 768},
    {5, 768, 3072}, {5, 3072, 768}, {1, 768, 59457}, {5, 768, 59457}, {49, 192, 768}, {49, 768, 192},
    {49, 192, 192}, {64, 256, 256}, {100, 384, 1536}, {196, 256, 1024}, {196, 1024, 256}, {908, 768, 768},
    {908, 768, 3072}, {908, 3072, 768}, {1024, 1024, 1024}, {333, 333, 333}};
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  double log_sum[2] = {0, 0};
  int counted = 0;
  for (Shape s : shapes) {
    if (argc > 1 && s.m < atol(argv[1])) continue;
    Floats x = randoms(s.m * s.k, 1), w = randoms(s.k * s.n, 2), y(s.m * s.n), z(s.m * s.n), d(s.m * s.n);
    void *packed = aligned_alloc(64, (mk_linear_packed_bytes(MK_WEIGHTS_F32, s.k, s.n) + 63) / 64 * 64);
    void *scratch = aligned_alloc(64, (mk_linear_scratch(nullptr, MK_WEIGHTS_F32, s.m, s.k, s.n) + 63) / 64 * 64);
    mk_linear_pack(nullptr, MK_WEIGHTS_F32, w.data(), s.n, 0, s.k, s.n, packed);
    using tag = dnnl::memory::format_tag;
    auto f32 = dnnl::memory::data_type::f32;
    dnnl::memory::desc xd({s.m, s.k}, f32, tag::ab), wa({s.k, s.n}, f32, tag::any), wd({s.k, s.n}, f32, tag::ab),
      yd({s.m, s.n}, f32, tag::ab);
    dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(xd, wa, yd), engine);
    dnnl::memory xm(xd, engine, x.data()), wm(wd, engine, w.data()), wp(pd.weights_desc(), engine), ym(yd, engine, d.data());
    dnnl::reorder(wm, wp).execute(stream, wm, wp);
    dnnl::matmul matmul(pd);
    std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, xm}, {DNNL_ARG_WEIGHTS, wp}, {DNNL_ARG_DST, ym}};
    auto times = race({
      [&] {
        mk_linear(nullptr, MK_WEIGHTS_F32, s.m, s.k, s.n, x.data(), s.k, packed, nullptr, MK_ACT_NONE, nullptr, 0,
          y.data(), s.n, scratch);
      },
      [&] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s.m, s.n, s.k, 1, x.data(), s.k, w.data(), s.n, 0, z.data(), s.n);
      },
      [&] {
        matmul.execute(stream, arguments);
        stream.wait();
      },
    });
    double worst = 0, flops = 2.0 * s.m * s.k * s.n * 1e-9;
    for (size_t i = 0; i < y.size(); i++) worst = std::max(worst, double(std::fabs(y[i] - z[i])));
    printf("%5ld %5ld %6ld %8.1f %8.1f %8.1f %9.2f %9.2f %9.1e\n", s.m, s.k, s.n, flops / times[0], flops / times[1],
      flops / times[2], times[1] / times[0], times[2] / times[0], worst);
    log_sum[0] += std::log(times[1] / times[0]);
    log_sum[1] += std::log(times[2] / times[0]);
    counted++;
    free(packed);
    free(scratch);
  }
  printf("geometric mean: %.2f of OpenBLAS, %.2f of oneDNN\n", std::exp(log_sum[0] / counted), std::exp(log_sum[1] / counted));
}
