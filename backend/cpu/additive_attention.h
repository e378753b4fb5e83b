// CPU implementations of additive attention (contracts: backend/ops/additive_attention.h), and how
// they share out sequences. Only dispatch calls the operators.
#pragma once

#include <atomic>
#include <cstdint>

#include "backend/cpu/parallel.h"
#include "backend/ops/additive_attention.h"
#include "backend/ops/candidate_attention.h"
#include "backend/ops/hard_attention.h"

namespace seqrank::cpu {

// Calls f(worker, b) for every sequence once, worker in [0, ctx.threads()). The next free worker
// takes the next sequence, since lengths differ and the work may grow with their square: results
// must not depend on which worker it is.
template <class F>
void for_each_sequence(Context& ctx, std::int64_t sequences, F&& f) {
  std::atomic<std::int64_t> next = 0;
  parallel_for(ctx, std::min<std::int64_t>(ctx.threads(), sequences), 1,
               [&](std::int64_t first, std::int64_t) {
                 for (std::int64_t b; (b = next.fetch_add(1)) < sequences;) f(first, b);
               });
}

void running_attention(Context& ctx, Tensor& c_ND, Tensor& max_N, Tensor& sum_N,
                       const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1);
void running_attention_backward(Context& ctx, Tensor& dscore_N, Tensor& dv_ND, const Tensor& dc_ND,
                                const Tensor& c_ND, const Tensor& max_N, const Tensor& sum_N,
                                const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1);
void running_attention_weights(Context& ctx, Tensor& a_J, const Tensor& max_N, const Tensor& sum_N,
                               const Tensor& score_N, std::int64_t first);

void query_attention(Context& ctx, Activation act, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA,
                     const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND,
                     const Tensor& offset_B1);
void query_attention_backward(Context& ctx, Activation act, Tensor& dk_NA, Tensor& dq_NA,
                              Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND, const Tensor& c_ND,
                              const Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                              const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1);
void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first);

void candidate_attention(Context& ctx, Attend attend, Activation act, Tensor& z_MD,
                         const Tensor& k_NA, const Tensor& q_CA, const Tensor& w_A,
                         const Tensor& v_ND, const Tensor& offset_B1);

void hard_attention(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
                    Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                    const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
                    const Tensor& offset_B1);
void hard_attention_backward(Context& ctx, const HardAttention& options, Tensor& dk_NA,
                             Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND,
                             const Tensor& choice_N, const Tensor& soft_ND, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             const Tensor& v_ND, const Tensor& place_B, const Tensor& offset_B1);

}  // namespace seqrank::cpu
