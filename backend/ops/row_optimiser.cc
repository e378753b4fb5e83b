// Contract of the updates of rows: shapes, then the device's implementation.
#include "backend/ops/row_optimiser.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void expect_rows(const char* op, const Tensor& w_KD, const Tensor& id_U, const Tensor& g_UD,
                 const Tensor& scale_1) {
  expect_rank(op, "w_KD", w_KD, 2);
  expect_rank(op, "id_U", id_U, 1);
  expect(op, "w_KD", w_KD, w_KD.dtype() == DType::bf16 ? DType::bf16 : DType::f32, w_KD.shape());
  expect(op, "id_U", id_U, DType::i32, id_U.shape());
  expect(op, "g_UD", g_UD, DType::f32, {id_U.dim(0), w_KD.dim(1)});
  expect(op, "scale_1", scale_1, DType::f32, {1});
}

}  // namespace

void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  expect_rows("rowwise_adagrad", w_KD, id_U, g_UD, scale_1);
  expect("rowwise_adagrad", "sum_K", sum_K, DType::f32, {w_KD.dim(0)});
  if (g_UD.numel() == 0) return;
  SR_DISPATCH(ctx, rowwise_adagrad, w_KD, sum_K, id_U, g_UD, scale_1, rate);
}

void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate) {
  expect_rows("lazy_adam", w_KD, id_U, g_UD, scale_1);
  expect("lazy_adam", "m_KD", moments.m_KD, DType::f32, w_KD.shape());
  expect("lazy_adam", "v_KD", moments.v_KD, DType::f32, w_KD.shape());
  expect("lazy_adam", "updates_K", moments.updates_K, DType::f32, {w_KD.dim(0)});
  if (g_UD.numel() == 0) return;
  SR_DISPATCH(ctx, lazy_adam, w_KD, moments, id_U, g_UD, scale_1, options, rate);
}

}  // namespace seqrank
