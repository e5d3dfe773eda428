// Products with constant weights in float32, bf16 and int8, and coded ones.
#include "roofline.h"

namespace {

struct Shape { long m, k, n; };

#if HAS_ONEDNN
// Weights in its own layout; int8: s8 weights with one scale a column, u8 rows, float32 out. What it takes to quantise
// the rows is not in its time, but is in ours.
Rival onednn(Shape s, mk_weights type, const Floats &x, const Floats &w, Floats &y) {
  using tag = dnnl::memory::format_tag;
  using kind = dnnl::memory::data_type;
  kind left = type == MK_WEIGHTS_INT8 ? kind::u8 : type == MK_WEIGHTS_BF16 ? kind::bf16 : kind::f32;
  kind right = type == MK_WEIGHTS_INT8 ? kind::s8 : left;
  try {
    dnnl::memory::desc xd({s.m, s.k}, left, tag::ab), wa({s.k, s.n}, right, tag::any), yd({s.m, s.n}, kind::f32, tag::ab);
    dnnl::primitive_attr attributes;
    if (type == MK_WEIGHTS_INT8) attributes.set_output_scales(1 << 1, std::vector<float>(size_t(s.n), 0.01f));
    dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(xd, wa, yd), attributes, onednn_engine());
    return onednn_rival<dnnl::matmul>(pd, {
      {DNNL_ARG_SRC, onednn_copy({{s.m, s.k}, kind::f32, tag::ab}, x, xd)},
      {DNNL_ARG_WEIGHTS, onednn_copy({{s.k, s.n}, kind::f32, tag::ab}, w, pd.weights_desc())},
      {DNNL_ARG_DST, dnnl::memory(yd, onednn_engine(), y.data())}});
  } catch (const dnnl::error &error) {
    return {nullptr, "no path on this processor"};
  }
}
#else
Rival onednn(Shape, mk_weights, const Floats &, const Floats &, Floats &) { return {nullptr, "not installed"}; }
#endif

Row measure_product(Shape s, mk_weights type) {
  static const char *names[] = {"float32", "bf16", "int8", "int4", "bf16, 12 bits", "float32, 28 bits"};
  Floats x = randoms(s.m * s.k, 1), w = randoms(s.k * s.n, 2), y(s.m * s.n), z(s.m * s.n);
  size_t bytes = mk_linear_packed_bytes(type, s.k, s.n);
  auto packed = memory(bytes), scratch = memory(mk_linear_scratch(nullptr, type, s.m, s.k, s.n));
  mk_linear_pack(nullptr, type, w.data(), s.n, 0, s.k, s.n, packed.get());
  Row row = {"product", std::to_string(s.m) + " x " + std::to_string(s.k) + " x " + std::to_string(s.n), names[type], 0, 0, false, 0, ""};
  Work work = {2e-9 * double(s.m) * double(s.k) * double(s.n), double(bytes + 4 * (x.size() + y.size())), type,
    s.m <= MK_NARROW_ROWS};
  mk_weights uncoded = type == MK_WEIGHTS_BF16_CODED ? MK_WEIGHTS_BF16 : type == MK_WEIGHTS_F32_CODED ? MK_WEIGHTS_F32 : type;
  return measure(row, work, [&] {
    mk_linear(nullptr, type, s.m, s.k, s.n, x.data(), s.k, packed.get(), nullptr, MK_ACT_NONE, nullptr, 0, y.data(), s.n,
      scratch.get());
  }, onednn(s, uncoded, x, w, z));
}

}  // namespace

std::vector<Row> product_rows() {
  std::vector<Row> rows;
  for (Shape s : std::vector<Shape>{{908, 768, 768}, {908, 3072, 768}, {908, 768, 3072}, {5, 768, 3072}, {5, 3072, 768},
         {5, 768, 59457}, {1, 768, 3072}, {1, 3072, 768}, {1, 768, 59457}}) {
    for (mk_weights type : {MK_WEIGHTS_F32, MK_WEIGHTS_BF16, MK_WEIGHTS_INT8}) rows.push_back(measure_product(s, type));
    if (s.m > MK_NARROW_ROWS || s.n > 10000) continue;
    for (mk_weights type : {MK_WEIGHTS_F32_CODED, MK_WEIGHTS_BF16_CODED}) rows.push_back(measure_product(s, type));
  }
  return rows;
}
