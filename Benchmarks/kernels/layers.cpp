// Convolution against oneDNN; attention, rows and the pool by themselves.
// usage: layers [convolutions] [depthwise] [attention] [rows] [pool]    MUE_ISA chooses our instruction set.
#include "mue_kernels.h"
#include "yardstick.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <dnnl.hpp>
#include <unistd.h>
#include <unordered_map>

namespace {

void *memory(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }

struct Case { long channels, size, out, kernel, stride, groups; };

void convolutions(const std::vector<Case> &cases) {
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  printf("convolution, GFLOP/s of one thread\n%8s %5s %5s %3s %3s %8s %8s %9s %9s\n", "channels", "size", "out", "k", "s",
    "ours", "oneDNN", "/oneDNN", "max diff");
  double log_sum = 0;
  for (Case c : cases) {
    long pad = c.kernel / 2, size = (c.size + 2 * pad - c.kernel) / c.stride + 1, in = c.channels / c.groups;
    mk_conv_shape s = {1, c.channels, c.size, c.size, c.out, size, size, c.kernel, c.kernel, c.stride, c.stride, 1, 1, pad, pad, c.groups};
    Floats x = randoms(c.channels * c.size * c.size, 1), w = randoms(c.out * in * c.kernel * c.kernel, 2);
    Floats bias = randoms(c.out, 3), y(c.out * size * size), d(c.out * size * size);
    const mk_weights type = MK_WEIGHTS_F32;
    void *packed = memory(mk_conv_packed_bytes(type, &s)), *scratch = memory(mk_conv_scratch(nullptr, type, &s));
    mk_conv_pack(nullptr, type, &s, w.data(), packed);
    using tag = dnnl::memory::format_tag;
    auto f32 = dnnl::memory::data_type::f32;
    dnnl::memory::dims xs = {1, c.channels, c.size, c.size}, ys = {1, c.out, size, size};
    dnnl::memory::dims ws = c.groups > 1 ? dnnl::memory::dims{c.groups, c.out / c.groups, in, c.kernel, c.kernel}
                                         : dnnl::memory::dims{c.out, in, c.kernel, c.kernel};
    // Its own layouts everywhere: data in and out are not reordered within the time.
    dnnl::memory::desc xa(xs, f32, tag::any), wa(ws, f32, tag::any), ba({c.out}, f32, tag::a), ya(ys, f32, tag::any);
    dnnl::convolution_forward::primitive_desc pd(
      dnnl::convolution_forward::desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, xa, wa,
        ba, ya, {c.stride, c.stride}, {pad, pad}, {pad, pad}), engine);
    dnnl::memory xm({xs, f32, tag::nchw}, engine, x.data()), xp(pd.src_desc(), engine);
    dnnl::memory wm({ws, f32, c.groups > 1 ? tag::goihw : tag::oihw}, engine, w.data()), wp(pd.weights_desc(), engine);
    dnnl::memory bm(ba, engine, bias.data()), yp(pd.dst_desc(), engine), ym({ys, f32, tag::nchw}, engine, d.data());
    dnnl::reorder(xm, xp).execute(stream, xm, xp);
    dnnl::reorder(wm, wp).execute(stream, wm, wp);
    dnnl::convolution_forward convolution(pd);
    std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, xp}, {DNNL_ARG_WEIGHTS, wp}, {DNNL_ARG_BIAS, bm}, {DNNL_ARG_DST, yp}};
    auto times = race({
      [&] { mk_conv(nullptr, type, &s, x.data(), packed, bias.data(), MK_ACT_NONE, nullptr, y.data(), scratch); },
      [&] {
        convolution.execute(stream, arguments);
        stream.wait();
      }});
    dnnl::reorder(yp, ym).execute(stream, yp, ym);
    stream.wait();
    double worst = 0, flops = 2e-9 * c.out * size * size * in * c.kernel * c.kernel;
    for (size_t i = 0; i < y.size(); i++) worst = std::max(worst, double(std::fabs(y[i] - d[i])));
    printf("%8ld %5ld %5ld %3ld %3ld %8.1f %8.1f %9.2f %9.1e\n", c.channels, c.size, c.out, c.kernel, c.stride,
      flops / times[0], flops / times[1], times[1] / times[0], worst);
    log_sum += std::log(times[1] / times[0]);
    free(packed);
    free(scratch);
  }
  printf("geometric mean: %.2f of oneDNN\n\n", std::exp(log_sum / cases.size()));
}

const std::vector<Case> plain = {
  {3, 224, 64, 7, 2, 1}, {3, 112, 32, 3, 2, 1}, {64, 56, 64, 1, 1, 1}, {64, 56, 64, 3, 1, 1}, {64, 56, 256, 1, 1, 1},
  {256, 56, 64, 1, 1, 1}, {128, 28, 128, 3, 1, 1}, {512, 28, 256, 1, 2, 1}, {256, 14, 256, 3, 1, 1},
  {1024, 14, 256, 1, 1, 1}, {512, 7, 512, 3, 1, 1}, {2048, 7, 512, 1, 1, 1}, {3, 480, 64, 7, 2, 1},
  {64, 120, 64, 3, 1, 1}, {64, 120, 256, 1, 1, 1}, {256, 120, 64, 1, 1, 1}, {128, 60, 128, 3, 1, 1},
  {512, 60, 128, 1, 1, 1}, {256, 60, 256, 3, 2, 1}, {1024, 30, 256, 1, 1, 1}, {256, 30, 256, 3, 1, 1},
  {256, 30, 1024, 1, 1, 1}};

const std::vector<Case> depthwise = {
  {32, 112, 32, 3, 1, 32}, {96, 56, 96, 3, 1, 96}, {192, 28, 192, 3, 1, 192}, {384, 14, 384, 3, 1, 384},
  {960, 7, 960, 3, 1, 960}, {96, 112, 96, 3, 2, 96}, {96, 56, 96, 3, 2, 96}, {576, 14, 576, 3, 2, 576},
  {120, 28, 120, 5, 1, 120}, {240, 28, 240, 5, 2, 240}, {96, 56, 96, 7, 1, 96}, {384, 14, 384, 7, 1, 384}};

void attentions() {
  struct Case { long batch, heads, tq, tk, d; bool bias; };
  std::vector<Case> cases = {
    {1, 12, 1, 20, 64, true}, {1, 12, 1, 908, 64, false}, {5, 12, 1, 908, 64, true}, {1, 12, 5, 908, 64, true},
    {4, 3, 49, 49, 32, true}, {1, 12, 197, 197, 64, false}, {1, 12, 908, 908, 64, true}};
  printf("attention, GFLOP/s of one thread\n%5s %5s %5s %5s %3s %5s %8s\n", "batch", "heads", "tq", "tk", "d", "bias", "ours");
  for (Case c : cases) {
    long row = c.heads * c.d;
    Floats q = randoms(c.batch * c.tq * row, 1), k = randoms(c.batch * c.tk * row, 2), v = randoms(c.batch * c.tk * row, 3);
    Floats out(c.batch * c.tq * row), bias = randoms(c.heads * c.tq * c.tk, 4);
    std::vector<const float *> keys, values;
    for (long b = 0; b < c.batch; b++) {
      keys.push_back(k.data() + b * c.tk * row);
      values.push_back(v.data() + b * c.tk * row);
    }
    mk_attention_args a = {};
    a.batch = c.batch, a.heads = c.heads, a.tq = c.tq, a.tk = c.tk, a.dqk = c.d, a.dv = c.d, a.scale = 0.125f;
    a.q = q.data(), a.q_batch = c.tq * row, a.q_head = c.d, a.q_row = row;
    a.k = keys.data(), a.k_head = c.d, a.k_row = row, a.v = values.data(), a.v_head = c.d, a.v_row = row;
    a.out = out.data(), a.out_batch = c.tq * row, a.out_head = c.d, a.out_row = row;
    if (c.bias) a.bias[0] = {bias.data(), 0, c.tq * c.tk, c.tk};
    void *scratch = memory(mk_attention_scratch(nullptr, &a));
    auto times = race({[&] { mk_attention(nullptr, &a, scratch); }});
    printf("%5ld %5ld %5ld %5ld %3ld %5d %8.1f\n", c.batch, c.heads, c.tq, c.tk, c.d, c.bias,
      4e-9 * c.batch * c.heads * c.tq * c.tk * c.d / times[0]);
    free(scratch);
  }
  printf("\n");
}

void rows() {
  const long n = 608 * 768;
  Floats x = randoms(608 * 3072, 1), y(608 * 3072), g = randoms(768, 2), b = randoms(768, 3);
  auto times = race({
    [&] { mk_layer_norm(nullptr, 608, 768, x.data(), nullptr, g.data(), b.data(), 1e-5f, nullptr, y.data()); },
    [&] { mk_softmax(nullptr, 608, 608, x.data(), 0, y.data()); },
    [&] { mk_unary(nullptr, MK_GELU_ERF, 608 * 3072, x.data(), y.data()); },
    [&] { mk_unary(nullptr, MK_TANH, n, x.data(), y.data()); },
    [&] { mk_unary(nullptr, MK_EXP, n, x.data(), y.data()); },
    [&] {
      const int32_t perm[4] = {0, 2, 1, 3};
      const mk_int shape[4] = {1, 608, 12, 64};
      mk_transpose(nullptr, 4, 4, shape, perm, x.data(), y.data());
    },
    [&] {
      const int32_t perm[2] = {1, 0};
      const mk_int shape[2] = {608, 768};
      mk_transpose(nullptr, 4, 2, shape, perm, x.data(), y.data());
    },
    [&] { y[0] = float(mk_similarity(x.data(), x.data() + n, n)); },
  });
  const char *names[] = {"layer norm 608x768", "softmax 608x608", "gelu 608x3072", "tanh 608x768", "exp 608x768",
    "heads 608x12x64", "transpose 608x768", "similarity 608x768"};
  for (size_t i = 0; i < times.size(); i++) printf("%-20s %8.1f us\n", names[i], times[i] * 1e6);
}

void pool() {
  mk_pool *pool = mk_pool_create(2);
  auto times = race({[&] { mk_parallel(pool, 2, [](void *, mk_int, int32_t) {}, nullptr); }});
  printf("empty region, 2 threads: %.2f us\n", times[0] * 1e6);
  mk_pool_destroy(pool);
}

}  // namespace

int main(int argc, char **argv) {
  if (!getenv("OMP_NUM_THREADS")) {
    // oneDNN's OpenMP reads it when the process starts.
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  printf("ours: %s\n", mk_isa_name());
  auto wanted = [&](const char *name) { return argc < 2 || std::count_if(argv + 1, argv + argc, [&](char *a) { return !strcmp(a, name); }); };
  if (wanted("convolutions")) convolutions(plain);
  if (wanted("depthwise")) convolutions(depthwise);
  if (wanted("attention")) attentions();
  if (wanted("rows")) rows();
  if (wanted("pool")) pool();
}
