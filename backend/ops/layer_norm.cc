// Contract of layer normalisation: shapes, then the device's implementation.
#include "backend/ops/layer_norm.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void check_rows(const char* op, const Tensor& x_ND, const Tensor& mean_N, const Tensor& rstd_N,
                const Tensor& gain_D) {
  expect_rank(op, "x_ND", x_ND, 2);
  const std::int64_t n = x_ND.dim(0), d = x_ND.dim(1);
  SR_ASSERT(d > 0, "{}: x_ND has shape {}, rows of at least one element expected", op,
            x_ND.shape().str());
  expect(op, "x_ND", x_ND, DType::f32, {n, d});
  expect(op, "mean_N", mean_N, DType::f32, {n});
  expect(op, "rstd_N", rstd_N, DType::f32, {n});
  expect(op, "gain_D", gain_D, DType::f32, {d});
}

}  // namespace

void layer_norm(Context& ctx, Tensor& y_ND, Tensor& mean_N, Tensor& rstd_N, const Tensor& x_ND,
                const Tensor& gain_D, const Tensor& bias_D, float eps) {
  check_rows("layer_norm", x_ND, mean_N, rstd_N, gain_D);
  expect("layer_norm", "bias_D", bias_D, DType::f32, gain_D.shape());
  expect("layer_norm", "y_ND", y_ND, DType::f32, x_ND.shape());
  SR_DISPATCH(ctx, layer_norm, y_ND, mean_N, rstd_N, x_ND, gain_D, bias_D, eps);
}

void layer_norm_backward(Context& ctx, Tensor& dx_ND, Tensor& dgain_D, Tensor& dbias_D,
                         const Tensor& dy_ND, const Tensor& x_ND, const Tensor& mean_N,
                         const Tensor& rstd_N, const Tensor& gain_D) {
  check_rows("layer_norm_backward", x_ND, mean_N, rstd_N, gain_D);
  expect("layer_norm_backward", "dy_ND", dy_ND, DType::f32, x_ND.shape());
  expect("layer_norm_backward", "dx_ND", dx_ND, DType::f32, x_ND.shape());
  expect("layer_norm_backward", "dgain_D", dgain_D, DType::f32, gain_D.shape());
  expect("layer_norm_backward", "dbias_D", dbias_D, DType::f32, gain_D.shape());
  SR_DISPATCH(ctx, layer_norm_backward, dx_ND, dgain_D, dbias_D, dy_ND, x_ND, mean_N, rstd_N,
              gain_D);
}

}  // namespace seqrank
