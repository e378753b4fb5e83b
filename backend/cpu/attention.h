// CPU implementation of multi-head attention (contract: backend/ops/attention.h). Only dispatch
// calls it.
#pragma once

#include "backend/ops/attention.h"

namespace seqrank::cpu {

void multi_head_attention(Context& ctx, const AttentionOptions& options, Tensor& o_NHK,
                          Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                          const Tensor& v_NHK, const AttentionBias& bias, const Tensor& place_B,
                          const Tensor& offset_B1);
void multi_head_attention_backward(Context& ctx, const AttentionOptions& options, Tensor& dq_NHK,
                                   Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR,
                                   Tensor& dtime_HT, const Tensor& do_NHK, const Tensor& o_NHK,
                                   const Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                                   const Tensor& v_NHK, const AttentionBias& bias,
                                   const Tensor& place_B, const Tensor& offset_B1);

}  // namespace seqrank::cpu
