// Pointwise attention of HSTU (Zhai et al., ICML 2024) within each packed sequence: no softmax, so
// that how much was seen still shows in the result.
//   o_i = 1/N sum_{j <= i} silu(s_ij) v_j,
//   s_ij = q_i . k_j + position_HR[h, r(i - j)] + time_HT[h, t(|time_i - time_j|)].
// r, t and the bias: as of causal attention in attention.h. Backward computes the scores again:
// nothing of size L^2 is stored.
#pragma once

#include "backend/ops/attention.h"

namespace seqrank {

struct SiluAttentionOptions {
  float normaliser = 1;         // N > 0
  std::int64_t max_length = 0;  // no sequence is longer; <= 4096
};

// o_NHK is written. All f32, multiplied as they are at any precision of the context; offset_B1:
// i32. Results do not depend on scheduling, and sequences do not depend on their neighbours.
void silu_attention(Context& ctx, const SiluAttentionOptions& options, Tensor& o_NHK,
                    const Tensor& q_NHK, const Tensor& k_NHK, const Tensor& v_NHK,
                    const AttentionBias& bias, const Tensor& offset_B1);

// dq, dk, dv are written; dposition_HR and dtime_HT are added to, each there if its table is.
void silu_attention_backward(Context& ctx, const SiluAttentionOptions& options, Tensor& dq_NHK,
                             Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR, Tensor& dtime_HT,
                             const Tensor& do_NHK, const Tensor& q_NHK, const Tensor& k_NHK,
                             const Tensor& v_NHK, const AttentionBias& bias,
                             const Tensor& offset_B1);

}  // namespace seqrank
