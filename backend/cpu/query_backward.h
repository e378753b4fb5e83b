// Backward of query-dependent additive attention on a CPU, as far as its soft and hard forms have
// it in common: event after event of each sequence, given how an event's scores become weights.
#pragma once

#include <algorithm>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/query_scores.h"

namespace seqrank::cpu {

// One sequence's operands of backward, at its first event; and one worker's memory.
struct QuerySequence {
  const float *k_LA, *q_LA, *w_A, *v_LD, *c_LD, *dc_LD, *lse_L;
  float *dk_LA, *dq_LA, *dw_A, *dv_LD;  // dw_A: of this sequence, starts as zeros
  std::int64_t keys, width, length;
};

struct QueryMemory {
  QueryMemory(float* begin, std::int64_t keys, std::int64_t width, std::int64_t length)
      : key_AL(begin),
        act_AL(key_AL + keys * length),
        dkey_AL(act_AL + keys * length),
        value_DL(dkey_AL + keys * length),
        weight_J(value_DL + width * length),
        dscore_J(weight_J + length) {}
  static std::int64_t floats(std::int64_t keys, std::int64_t width, std::int64_t length) {
    return (3 * keys + width + 2) * length;
  }
  float *key_AL, *act_AL, *dkey_AL, *value_DL, *weight_J, *dscore_J;
};

// dscore_J = a_j (dc . v_j - dc . c).
inline void score_gradients(const QuerySequence& s, const QueryMemory& m, std::int64_t t) {
  const float *dc = s.dc_LD + t * s.width, *c = s.c_LD + t * s.width;
  float past = 0;
#pragma omp simd reduction(+ : past)
  for (std::int64_t d = 0; d < s.width; ++d) past += dc[d] * c[d];
  std::fill_n(m.dscore_J, t + 1, -past);
  for (std::int64_t d = 0; d < s.width; ++d) {
    add_scaled(m.dscore_J, dc[d], m.value_DL + d * s.length, t + 1);
  }
#pragma omp simd
  for (std::int64_t j = 0; j <= t; ++j) m.dscore_J[j] *= m.weight_J[j];
}

// What follows from dscore: dk, dq and this sequence's dw.
template <class Act>
void key_gradients(const QuerySequence& s, const QueryMemory& m, std::int64_t t) {
  const float* dscore = m.dscore_J;
  for (std::int64_t a = 0; a < s.keys; ++a) {
    const float* act = m.act_AL + a * s.length;
    float* dkey = m.dkey_AL + a * s.length;
    const float w = s.w_A[a];
    float dw = 0, dq = 0;
#pragma omp simd reduction(+ : dw, dq)
    for (std::int64_t j = 0; j <= t; ++j) {
      const float inner = dscore[j] * w * Act::slope(act[j]);
      dw += dscore[j] * act[j];
      dq += inner;
      dkey[j] += inner;
    }
    s.dw_A[a] += dw;
    s.dq_LA[t * s.keys + a] = dq;
  }
}

struct QueryOperands {
  Tensor &dk_NA, &dq_NA, &dw_A, &dv_ND;
  const Tensor &dc_ND, &c_ND, &lse_N, &k_NA, &q_NA, &w_A, &v_ND;
};

// event(sequence, memory, b, t) adds to dv, writes dq of event t, adds to the sums of the others.
template <class Event>
void query_backward(Context& ctx, const QueryOperands& o, const Tensor& offset_B1, Event&& event) {
  const std::int64_t keys = o.w_A.numel(), width = o.v_ND.dim(1);
  const std::int64_t sequences = offset_B1.numel() - 1;
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const std::int64_t floats = QueryMemory::floats(keys, width, longest(offset_B1));
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  // One part a sequence, added in their order below: the same bits at any number of threads.
  Tensor dw_BA = ctx.empty(DType::f32, {sequences, keys}, Tag::workspace);
  for_each_sequence(ctx, sequences, [&](std::int64_t worker, std::int64_t b) {
    const std::int64_t n = offset[b], length = offset[b + 1] - n;
    const QuerySequence s{.k_LA = o.k_NA.data<float>() + n * keys,
                          .q_LA = o.q_NA.data<float>() + n * keys,
                          .w_A = o.w_A.data<float>(),
                          .v_LD = o.v_ND.data<float>() + n * width,
                          .c_LD = o.c_ND.data<float>() + n * width,
                          .dc_LD = o.dc_ND.data<float>() + n * width,
                          .lse_L = o.lse_N.data<float>() + n,
                          .dk_LA = o.dk_NA.data<float>() + n * keys,
                          .dq_LA = o.dq_NA.data<float>() + n * keys,
                          .dw_A = dw_BA.data<float>() + b * keys,
                          .dv_LD = o.dv_ND.data<float>() + n * width,
                          .keys = keys,
                          .width = width,
                          .length = length};
    const QueryMemory m(scratch.data<float>() + worker * floats, keys, width, length);
    transpose(m.key_AL, s.k_LA, length, keys);
    transpose(m.value_DL, s.v_LD, length, width);
    std::fill_n(m.dkey_AL, keys * length, 0.0f);
    std::fill_n(s.dv_LD, width * length, 0.0f);
    std::fill_n(s.dw_A, keys, 0.0f);
    for (std::int64_t t = 0; t < length; ++t) event(s, m, b, t);
    transpose(s.dk_LA, m.dkey_AL, keys, length);
  });
  for (std::int64_t b = 0; b < sequences; ++b) {
    add_scaled(o.dw_A.data<float>(), 1.0f, dw_BA.data<float>() + b * keys, keys);
  }
}

}  // namespace seqrank::cpu
