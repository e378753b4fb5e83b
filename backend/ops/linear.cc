// Contract of the linear layer: shapes, then the device's implementation.
#include "backend/ops/linear.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void linear(Context& ctx, Tensor& y_NM, const Tensor& x_NK, const Tensor& w_MK, const Tensor& b_M) {
  expect_rank("linear", "x_NK", x_NK, 2);
  expect_rank("linear", "w_MK", w_MK, 2);
  const std::int64_t n = x_NK.dim(0), k = x_NK.dim(1), m = w_MK.dim(0);
  expect("linear", "x_NK", x_NK, DType::f32, {n, k});
  expect("linear", "w_MK", w_MK, DType::f32, {m, k});
  expect("linear", "y_NM", y_NM, DType::f32, {n, m});
  if (b_M) expect("linear", "b_M", b_M, DType::f32, {m});
  ctx.count_flops(2.0 * n * k * m);
  SR_DISPATCH(ctx, linear, y_NM, x_NK, w_MK, b_M);
}

void linear_backward(Context& ctx, Tensor& dx_NK, Tensor& dw_MK, Tensor& db_M, const Tensor& dy_NM,
                     const Tensor& x_NK, const Tensor& w_MK) {
  expect_rank("linear_backward", "x_NK", x_NK, 2);
  expect_rank("linear_backward", "w_MK", w_MK, 2);
  const std::int64_t n = x_NK.dim(0), k = x_NK.dim(1), m = w_MK.dim(0);
  expect("linear_backward", "x_NK", x_NK, DType::f32, {n, k});
  expect("linear_backward", "w_MK", w_MK, DType::f32, {m, k});
  expect("linear_backward", "dy_NM", dy_NM, DType::f32, {n, m});
  expect("linear_backward", "dw_MK", dw_MK, DType::f32, {m, k});
  if (dx_NK) expect("linear_backward", "dx_NK", dx_NK, DType::f32, {n, k});
  if (db_M) expect("linear_backward", "db_M", db_M, DType::f32, {m});
  ctx.count_flops((dx_NK ? 4.0 : 2.0) * n * k * m);
  SR_DISPATCH(ctx, linear_backward, dx_NK, dw_MK, db_M, dy_NM, x_NK, w_MK);
}

}  // namespace seqrank
