// Additive attention (Bahdanau, Cho, Bengio 2015) over the past of each packed sequence:
//   c_t = sum_{j <= t} a_tj v_j,   a_tj = softmax_j(score_tj).
// Two forms:
//   running          score_tj = s_j, given: one pass with a running maximum, O(N D).
//   query-dependent  score_tj = w . act(k_j + q_t): O(sum of L^2 A); backward recomputes the
//   scores.
#pragma once

#include "backend/context.h"
#include "backend/ops/activation.h"

namespace seqrank {

// c_ND, max_N (running maximum) and sum_N (running sum of exp(s - max)) are written. offset_B1:
// i32.
void running_attention(Context& ctx, Tensor& c_ND, Tensor& max_N, Tensor& sum_N,
                       const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1);
// dscore_N and dv_ND are written.
void running_attention_backward(Context& ctx, Tensor& dscore_N, Tensor& dv_ND, const Tensor& dc_ND,
                                const Tensor& c_ND, const Tensor& max_N, const Tensor& sum_N,
                                const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1);

// c_ND and lse_N (log of the sum of exp of the scores) are written. k, q: [N, A]; w_A; act: tanh or
// relu, any other aborts.
void query_attention(Context& ctx, Activation act, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA,
                     const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND,
                     const Tensor& offset_B1);
// dk, dq, dv are written; dw_A is added to.
void query_attention_backward(Context& ctx, Activation act, Tensor& dk_NA, Tensor& dq_NA,
                              Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND, const Tensor& c_ND,
                              const Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                              const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1);

// To look at: the weights with which event n = first + J - 1 sees the events [first, n] of its
// sequence, which begins at `first`. a_J is written; the other operands are what forward read and
// wrote.
void running_attention_weights(Context& ctx, Tensor& a_J, const Tensor& max_N, const Tensor& sum_N,
                               const Tensor& score_N, std::int64_t first);
void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first);

}  // namespace seqrank
