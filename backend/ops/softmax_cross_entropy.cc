// Checks the operands of softmax_cross_entropy() and hands them to the device.
#include "backend/ops/softmax_cross_entropy.h"

#include "backend/dispatch.h"

namespace seqrank {

namespace cpu {
void softmax_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dh_ND, Tensor& dtable_VD,
                           Tensor& dbias_V, const Tensor& h_ND, const Tensor& table_VD,
                           const Tensor& bias_V, const Tensor& target_N, float scale,
                           const SoftmaxOptions& options);
// The memory of it.
void plan_softmax_cross_entropy(Context& ctx, const Tensor& h_ND, const Tensor& table_VD,
                                bool bias_gradient);
}  // namespace cpu

namespace {

void check_operand(const char* name, const Tensor& tensor, DType type, Shape shape) {
  SR_CHECK(tensor.dtype() == type && tensor.shape() == shape, ErrorKind::usage,
           "softmax_cross_entropy: {} is {} {}, expected {} {}", name, dtype_name(tensor.dtype()),
           tensor.shape().str(), dtype_name(type), shape.str());
}

}  // namespace

void softmax_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dh_ND, Tensor& dtable_VD,
                           Tensor& dbias_V, const Tensor& h_ND, const Tensor& table_VD,
                           const Tensor& bias_V, const Tensor& target_N, float scale,
                           const SoftmaxOptions& options) {
  SR_CHECK(h_ND.shape().rank() == 2 && table_VD.shape().rank() == 2, ErrorKind::usage,
           "softmax_cross_entropy: h is {} and table is {}, expected [N, D] and [V, D]",
           h_ND.shape().str(), table_VD.shape().str());
  const std::int64_t n = h_ND.dim(0), d = h_ND.dim(1), v = table_VD.dim(0);
  SR_CHECK(d > 0 && v > 0, ErrorKind::usage,
           "softmax_cross_entropy: h is {} and table is {}; only N may be zero", h_ND.shape().str(),
           table_VD.shape().str());
  check_operand("h", h_ND, DType::f32, {n, d});
  check_operand("table", table_VD, DType::f32, {v, d});
  check_operand("target", target_N, DType::i32, {n});
  check_operand("loss", loss_1, DType::f64, {1});
  check_operand("dh", dh_ND, DType::f32, {n, d});
  check_operand("dtable", dtable_VD, DType::f32, {v, d});
  if (bias_V) check_operand("bias", bias_V, DType::f32, {v});
  if (dbias_V) check_operand("dbias", dbias_V, DType::f32, {v});
  if (options.loss_scale_1) check_operand("loss_scale", options.loss_scale_1, DType::f32, {1});
  SR_CHECK(options.label_smoothing >= 0 && options.label_smoothing < 1, ErrorKind::usage,
           "softmax_cross_entropy: label smoothing is {}, expected 0 or more and less than 1",
           options.label_smoothing);
  SR_CHECK(options.temperature > 0, ErrorKind::usage,
           "softmax_cross_entropy: temperature is {}, expected more than 0", options.temperature);
  ctx.count_flops(6.0 * static_cast<double>(n) * static_cast<double>(v) * static_cast<double>(d));
  if (ctx.plans_cpu())
    cpu::plan_softmax_cross_entropy(ctx, h_ND, table_VD, static_cast<bool>(dbias_V));
  SR_DISPATCH(ctx, softmax_cross_entropy, loss_1, dh_ND, dtable_VD, dbias_V, h_ND, table_VD, bias_V,
              target_N, scale, options);
}

}  // namespace seqrank
