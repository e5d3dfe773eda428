// Convolutions with their bias and ReLU, in each form that this processor has. 3 x 3 with stride 1 count as direct sums, so
// that Winograd's method may exceed the limit.
#include "roofline.h"

namespace {

struct Layer { long channels, size, out, kernel, stride, uses; };

mk_conv_shape shape_of(const Layer &c) {
  long pad = c.kernel / 2, size = (c.size + 2 * pad - c.kernel) / c.stride + 1;
  return {1, c.channels, c.size, c.size, c.out, size, size, c.kernel, c.kernel, c.stride, c.stride, 1, 1, pad, pad, 1};
}

#if HAS_ONEDNN
// Its own layouts everywhere: data in and out are not reordered within the time, and not quantised or rounded either.
Rival onednn(const Layer &c, long size, mk_weights type, const Floats &x, const Floats &w, const Floats &bias) {
  using tag = dnnl::memory::format_tag;
  using kind = dnnl::memory::data_type;
  kind left = type == MK_WEIGHTS_INT8 ? kind::u8 : type == MK_WEIGHTS_BF16 ? kind::bf16 : kind::f32;
  kind right = type == MK_WEIGHTS_INT8 ? kind::s8 : left;
  dnnl::memory::dims xs = {1, c.channels, c.size, c.size}, ys = {1, c.out, size, size};
  dnnl::memory::dims ws = {c.out, c.channels, c.kernel, c.kernel}, pads = {c.kernel / 2, c.kernel / 2};
  try {
    dnnl::memory::desc ba({c.out}, kind::f32, tag::a);
    dnnl::primitive_attr attributes;
    dnnl::post_ops relu;
    relu.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(relu);
    if (type == MK_WEIGHTS_INT8) attributes.set_output_scales(1 << 1, std::vector<float>(size_t(c.out), 0.01f));
    dnnl::convolution_forward::primitive_desc pd(
      dnnl::convolution_forward::desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_auto,
        {xs, left, tag::any}, {ws, right, tag::any}, ba, {ys, kind::f32, tag::any}, {c.stride, c.stride}, pads, pads),
      attributes, onednn_engine());
    return onednn_rival<dnnl::convolution_forward>(pd, {
      {DNNL_ARG_SRC, onednn_copy({xs, kind::f32, tag::nchw}, x, pd.src_desc())},
      {DNNL_ARG_WEIGHTS, onednn_copy({ws, kind::f32, tag::oihw}, w, pd.weights_desc())},
      {DNNL_ARG_BIAS, onednn_copy(ba, bias, ba)},
      {DNNL_ARG_DST, dnnl::memory(pd.dst_desc(), onednn_engine())}});
  } catch (const dnnl::error &error) {
    return {nullptr, "no path on this processor"};
  }
}
#else
Rival onednn(const Layer &, long, mk_weights, const Floats &, const Floats &, const Floats &) {
  return {nullptr, "not installed"};
}
#endif

Row measure_layer(const Layer &c, mk_weights type) {
  mk_conv_shape s = shape_of(c);
  long size = s.out_height;
  Floats x = randoms(c.channels * c.size * c.size, 1), w = randoms(c.out * c.channels * c.kernel * c.kernel, 2);
  Floats bias = randoms(c.out, 3), y(c.out * size * size);
  size_t bytes = mk_conv_packed_bytes(type, &s);
  auto packed = memory(bytes), scratch = memory(mk_conv_scratch(nullptr, type, &s));
  mk_conv_pack(nullptr, type, &s, w.data(), packed.get());
  std::string kernel = std::to_string(c.kernel) + " x " + std::to_string(c.kernel);
  if (c.stride > 1) kernel += ", stride " + std::to_string(c.stride);
  std::string pixels = std::to_string(size) + " x " + std::to_string(size);
  Row row = {"convolution", std::to_string(c.channels) + " to " + std::to_string(c.out) + ", " + kernel + ", " + pixels,
    type == MK_WEIGHTS_INT8 ? "int8" : type == MK_WEIGHTS_BF16 ? "bf16" : "float32", 0, 0, false, 0, "", 0, c.uses};
  if (mk_conv_weights(type, &s) != type) row.weights += ", as float32";
  Work work = {2e-9 * double(c.out * size * size) * double(c.channels * c.kernel * c.kernel),
    double(bytes + 4 * (x.size() + y.size())), type, false};
  return measure(row, work, [&] {
    mk_conv(nullptr, type, &s, x.data(), packed.get(), bias.data(), MK_ACT_RELU, nullptr, y.data(), scratch.get());
  }, onednn(c, size, type, x, w, bias));
}

}  // namespace

std::vector<Row> convolution_rows() {
  std::vector<Row> rows;
  for (const Layer &c : std::vector<Layer>{{3, 480, 64, 7, 2, 1}, {64, 120, 64, 3, 1, 3}, {64, 120, 256, 1, 1, 4},
         {256, 120, 64, 1, 1, 2}, {128, 120, 128, 3, 2, 1}, {128, 60, 128, 3, 1, 3}, {128, 60, 512, 1, 1, 4},
         {512, 60, 128, 1, 1, 3}, {256, 60, 256, 3, 2, 1}, {256, 30, 256, 3, 1, 22}, {256, 30, 1024, 1, 1, 23},
         {1024, 30, 256, 1, 1, 22}}) {
    for (mk_weights type : {MK_WEIGHTS_F32, MK_WEIGHTS_BF16, MK_WEIGHTS_INT8}) rows.push_back(measure_layer(c, type));
  }
  return rows;
}
