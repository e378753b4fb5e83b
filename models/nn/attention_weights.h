// Which events of a history the attention of a model looks at when the next item is asked for:
// explanations, one history at a time, on the host. Training computes no weights: its operators
// never hold them.
#pragma once

#include "backend/ops/activation.h"
#include "data/batch.h"
#include "models/nn/candidate_layers.h"

namespace seqrank::nn {

// Each is f32 [N] in host memory: the weight of each event as the last event of its sequence sees
// it, or what that is asked about; summing to one over a sequence unless it says otherwise.

// Weights as softmax(score_N1).
Tensor weights_of_scores(Context& ctx, const Tensor& score_N1, const Batch& batch);
// As softmax_j(w . act(k_j + q_last)): backend/ops/additive_attention.h.
Tensor weights_of_query(Context& ctx, Activation act, const Tensor& k_NA, const Tensor& q_NA,
                        const Tensor& w_A, const Batch& batch);
// One, of the event that hard attention chooses: backend/ops/hard_attention.h, without noise.
Tensor weights_of_choice(Context& ctx, Activation act, const Tensor& k_NA, const Tensor& q_NA,
                         const Tensor& w_A, const Batch& batch);
// The s_tj of backend/ops/din_attention.h, t the last event: of any sum.
Tensor weights_of_din(Context& ctx, Activation act, const Tensor& h_ND, const Tensor& x_ND,
                      const DinUnit& unit, const Batch& batch);
// As softmax_j(q_last . k_j / sqrt(K)) of each head, their mean. time_HT: bias by time apart, see
// backend/ops/attention.h; absent: none.
Tensor weights_of_heads(Context& ctx, std::int64_t heads, const Tensor& q_ND, const Tensor& k_ND,
                        const Batch& batch, const Tensor& time_HT = {});
// The silu(s_ij) / normaliser of backend/ops/silu_attention.h, i the last event; the mean over
// heads, of any sum.
Tensor weights_of_silu(Context& ctx, float normaliser, std::int64_t heads, const Tensor& q_ND,
                       const Tensor& k_ND, const BiasParameters& bias, const Batch& batch);

}  // namespace seqrank::nn
