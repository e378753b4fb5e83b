// Additive attention of candidates over whole histories, for ranking a catalogue: candidate c asks
// each of B packed sequences, score_j = w . act(k_j + q_c), about all of its events. The forward
// pass alone. What a model does with these scores in training is backend/ops/additive_attention.h
// (soft) and backend/ops/hard_attention.h (hard).
#pragma once

#include "backend/context.h"
#include "backend/ops/activation.h"

namespace seqrank {

// soft: sum_j softmax_j(score) v_j; hard: v_j of the largest score, of the first event that has it.
enum class Attend { soft, hard };

// z_MD[b C + c] is written, M = B C: candidate c and sequence b; zeros for a sequence without
// events. k_NA, v_ND: of the events; q_CA: of the candidates. act: tanh or relu.
void candidate_attention(Context& ctx, Attend attend, Activation act, Tensor& z_MD,
                         const Tensor& k_NA, const Tensor& q_CA, const Tensor& w_A,
                         const Tensor& v_ND, const Tensor& offset_B1);

}  // namespace seqrank
