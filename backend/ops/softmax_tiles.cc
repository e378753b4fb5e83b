// Contracts of the softmax by tiles: shapes, then the device's implementation.
#include "backend/ops/softmax_tiles.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void add_to_softmax(Context& ctx, Tensor& state_N4, Tensor& logit_NT, const Tensor& target_N,
                    const TileItems& items) {
  expect_rank("add_to_softmax", "logit_NT", logit_NT, 2);
  const std::int64_t n = logit_NT.dim(0);
  expect("add_to_softmax", "logit_NT", logit_NT, DType::f32, {n, logit_NT.dim(1)});
  expect("add_to_softmax", "state_N4", state_N4, DType::f64, {n, kStateColumns});
  expect("add_to_softmax", "target_N", target_N, DType::i32, {n});
  SR_DISPATCH(ctx, add_to_softmax, state_N4, logit_NT, target_N, items);
}

void join_softmax(Context& ctx, Tensor& state_N4, const Tensor& state_RN4) {
  expect_rank("join_softmax", "state_RN4", state_RN4, 3);
  expect("join_softmax", "state_RN4", state_RN4, DType::f64,
         {state_RN4.dim(0), state_N4.dim(0), kStateColumns});
  expect("join_softmax", "state_N4", state_N4, DType::f64, {state_N4.dim(0), kStateColumns});
  SR_DISPATCH(ctx, join_softmax, state_N4, state_RN4);
}

void add_softmax_loss(Context& ctx, Tensor& loss_1, const Tensor& state_N4,
                      const SoftmaxTarget& wanted) {
  expect_rank("add_softmax_loss", "state_N4", state_N4, 2);
  expect("add_softmax_loss", "state_N4", state_N4, DType::f64, {state_N4.dim(0), kStateColumns});
  expect("add_softmax_loss", "loss_1", loss_1, DType::f64, {1});
  SR_DISPATCH(ctx, add_softmax_loss, loss_1, state_N4, wanted);
}

void softmax_gradient(Context& ctx, Tensor& logit_NT, const Tensor& state_N4,
                      const Tensor& target_N, const TileItems& items, const SoftmaxTarget& wanted) {
  expect_rank("softmax_gradient", "logit_NT", logit_NT, 2);
  const std::int64_t n = logit_NT.dim(0);
  expect("softmax_gradient", "logit_NT", logit_NT, DType::f32, {n, logit_NT.dim(1)});
  expect("softmax_gradient", "state_N4", state_N4, DType::f64, {n, kStateColumns});
  expect("softmax_gradient", "target_N", target_N, DType::i32, {n});
  if (wanted.loss_scale_1)
    expect("softmax_gradient", "loss_scale_1", wanted.loss_scale_1, DType::f32, {1});
  SR_DISPATCH(ctx, softmax_gradient, logit_NT, state_N4, target_N, items, wanted);
}

}  // namespace seqrank
