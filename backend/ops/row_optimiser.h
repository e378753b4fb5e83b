// Updates of chosen rows of a table: only they are read and written, whatever the table's size.
// Rows of w_KD, which are id_U (i32, distinct), have the gradients g_UD, that are multiplied by
// scale_1; see clip_scale(). Where scale_1 = 0 nothing is written, and a
// row stays as it is whose gradient is all zeros: it was looked up beside those that count. Weight
// decay is decoupled, and a row decays only when it is updated. w_KD is f32, or bf16: then it is
// calculated with in fp32, as everything else is, and new values are rounded stochastically.
#pragma once

#include "backend/ops/optimiser.h"
#include "backend/row_rounding.h"

namespace seqrank {

struct RowRate {
  float rate = 0;  // learning rate
  float decay = 0;
  RowRounding rounding = {};  // of bf16
};

// Adagrad (Duchi, Hazan, Singer, JMLR 2011) with one sum for each row, as the tables of
// recommenders are trained (Naumov et al., "Deep Learning Recommendation Model", 2019):
//   s += mean of the squares of the row's g;   w = w (1 - rate decay) - rate g / (sqrt(s) + eps)
inline constexpr float kAdagradEpsilon = 1e-8f;
void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate);

// AdamW of which a row knows only the steps that touch it: its moments stand still in others, and
// its bias is corrected by updates_K (f32), which counts its own updates.
struct LazyMoments {
  Tensor m_KD, v_KD, updates_K;
};
void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate);

}  // namespace seqrank
