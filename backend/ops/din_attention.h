// The activation unit of DIN (Zhou et al., Deep Interest Network for Click-Through Rate Prediction,
// KDD 2018) over the past of each packed sequence, weights not normalised:
//   z_t = sum_{j <= t} s_tj h_j,   s_tj = b + w . act(k_j + q_t + P (h_j x_t)),
// h_j x_t element by element. With k = K h and q = Q x this is a hidden layer over [h, x, h - x, h
// x] and one output. No N x N array is held: memory grows with one block of events times the
// longest sequence. Products are fp32 at any precision of the context.
#pragma once

#include "backend/context.h"
#include "backend/ops/activation.h"

namespace seqrank {

struct DinAttention {
  Activation act = Activation::relu;  // or tanh; any other aborts
  std::int64_t max_length = 0;        // no sequence has more events
};

// z_ND is written. h_ND, k_NA: of the events; x_ND, q_NA: of what each is asked about; p_AD, w_A,
// b_1.
void din_attention(Context& ctx, const DinAttention& options, Tensor& z_ND, const Tensor& h_ND,
                   const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
                   const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1);

struct DinGradients {
  Tensor &dh_ND, &dx_ND, &dk_NA, &dq_NA;  // written
  Tensor &dp_AD, &dw_A, &db_1;            // added to
};
void din_attention_backward(Context& ctx, const DinAttention& options,
                            const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
                            const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA,
                            const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                            const Tensor& offset_B1);

// For ranking: C candidates over the whole of each of B histories, z_MD[b C + c] is written; zeros
// for a sequence without events. x_CD, q_CA: of the candidates.
void din_candidates(Context& ctx, const DinAttention& options, Tensor& z_MD, const Tensor& h_ND,
                    const Tensor& x_CD, const Tensor& k_NA, const Tensor& q_CA, const Tensor& p_AD,
                    const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1);

}  // namespace seqrank
