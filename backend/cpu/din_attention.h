// CPU implementation of DIN's activation unit (contract: backend/ops/din_attention.h). Only
// dispatch calls it.
#pragma once

#include "backend/ops/din_attention.h"

namespace seqrank::cpu {

void din_attention(Context& ctx, const DinAttention& options, Tensor& z_ND, const Tensor& h_ND,
                   const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
                   const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1);
void din_attention_backward(Context& ctx, const DinAttention& options,
                            const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
                            const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA,
                            const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                            const Tensor& offset_B1);
void din_candidates(Context& ctx, const DinAttention& options, Tensor& z_MD, const Tensor& h_ND,
                    const Tensor& x_CD, const Tensor& k_NA, const Tensor& q_CA, const Tensor& p_AD,
                    const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1);

}  // namespace seqrank::cpu
