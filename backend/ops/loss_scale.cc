// Contract of the loss scale: shapes, then the device's implementation.
#include "backend/ops/loss_scale.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void remove_loss_scale(Context& ctx, Tensor& squared_norm_1, const Tensor& state_2) {
  if (!state_2) return;
  expect("remove_loss_scale", "squared_norm_1", squared_norm_1, DType::f64, {1});
  expect("remove_loss_scale", "state_2", state_2, DType::f32, {2});
  SR_DISPATCH(ctx, remove_loss_scale, squared_norm_1, state_2);
}

void update_loss_scale(Context& ctx, Tensor& scale_1, Tensor& state_2, const Tensor& squared_norm_1,
                       const LossScale& options) {
  if (!state_2) return;
  expect("update_loss_scale", "scale_1", scale_1, DType::f32, {1});
  expect("update_loss_scale", "state_2", state_2, DType::f32, {2});
  expect("update_loss_scale", "squared_norm_1", squared_norm_1, DType::f64, {1});
  SR_DISPATCH(ctx, update_loss_scale, scale_1, state_2, squared_norm_1, options);
}

}  // namespace seqrank
