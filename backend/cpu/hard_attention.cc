// Hard attention: the scores of query_scores.h, noise added, the largest chosen.
#include <algorithm>
#include <cmath>

#include "backend/cpu/query_backward.h"

namespace seqrank::cpu {
namespace {

// score_J[j] = (score_J[j] + g_tj) / tau.
void add_noise(float* score_J, const HardAttention& options, std::int64_t place, std::int64_t t) {
  if (!options.noise) return;
  const float factor = 1.0f / temperature_at(options, place);
  for (std::int64_t begin = 0; begin <= t; begin += 4) {
    const Philox4 words = gumbel_words(options, place, t, begin / 4);
    for (std::int64_t j = begin; j <= std::min(begin + 3, t); ++j) {
      const float g = -std::log(-std::log(inner_uniform(words[j - begin])));
      score_J[j] = (score_J[j] + g) * factor;
    }
  }
}

template <class Act>
void forward(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
             Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
             const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
             const Tensor& offset_B1) {
  const std::int64_t keys = w_A.numel(), width = v_ND.dim(1), most = longest(offset_B1);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const std::int64_t* place = place_B.data<std::int64_t>();
  const float *k = k_NA.data<float>(), *q = q_NA.data<float>(), *w = w_A.data<float>();
  const float* v = v_ND.data<float>();
  float *c_out = c_ND.data<float>(), *soft_out = soft_ND.data<float>(), *lse = lse_N.data<float>();
  std::int32_t* choice = choice_N.data<std::int32_t>();
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), (keys + 1) * most}, Tag::workspace);
  float* scratch_TX = scratch.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [=](std::int64_t worker, std::int64_t b) {
    const std::int64_t begin = offset[b], length = offset[b + 1] - begin;
    float* key_AL = scratch_TX + worker * (keys + 1) * most;
    float* weight_J = key_AL + keys * length;
    transpose(key_AL, k + begin * keys, length, keys);
    for (std::int64_t t = 0; t < length; ++t) {
      const std::int64_t n = begin + t;
      scores<Act>(weight_J, nullptr, key_AL, q + n * keys, w, keys, length, t + 1);
      add_noise(weight_J, options, place[b], t);
      const std::int64_t best = begin + (std::max_element(weight_J, weight_J + t + 1) - weight_J);
      choice[n] = static_cast<std::int32_t>(best);
      std::copy_n(v + best * width, width, c_out + n * width);
      lse[n] = softmax(weight_J, t + 1);
      float* soft = soft_out + n * width;
      std::fill_n(soft, width, 0.0f);
      for (std::int64_t j = 0; j <= t; ++j)
        add_scaled(soft, weight_J[j], v + (begin + j) * width, width);
    }
  });
}

// chosen: the event of the sequence that event t chose.
template <class Act>
void backward_event(const HardAttention& options, const QuerySequence& s, const QueryMemory& m,
                    std::int64_t place, std::int64_t t, std::int64_t chosen) {
  scores<Act>(m.weight_J, m.act_AL, m.key_AL, s.q_LA + t * s.keys, s.w_A, s.keys, s.length, t + 1);
  add_noise(m.weight_J, options, place, t);
  const float lse = s.lse_L[t], factor = 1.0f / temperature_at(options, place);
#pragma omp simd
  for (std::int64_t j = 0; j <= t; ++j) m.weight_J[j] = fast_exp(m.weight_J[j] - lse);
  score_gradients(s, m, t);
#pragma omp simd
  for (std::int64_t j = 0; j <= t; ++j) m.dscore_J[j] *= factor;
  add_scaled(s.dv_LD + chosen * s.width, 1.0f, s.dc_LD + t * s.width, s.width);
  key_gradients<Act>(s, m, t);
}

}  // namespace

void hard_attention(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
                    Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                    const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
                    const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, options, c_ND, choice_N, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND, place_B, offset_B1);
}

void hard_attention_backward(Context& ctx, const HardAttention& options, Tensor& dk_NA,
                             Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND,
                             const Tensor& choice_N, const Tensor& soft_ND, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             const Tensor& v_ND, const Tensor& place_B, const Tensor& offset_B1) {
  const auto event = options.act == Activation::tanh ? backward_event<Tanh> : backward_event<Relu>;
  const std::int64_t* place = place_B.data<std::int64_t>();
  const std::int32_t *offset = offset_B1.data<std::int32_t>(),
                     *choice = choice_N.data<std::int32_t>();
  query_backward(ctx, {dk_NA, dq_NA, dw_A, dv_ND, dc_ND, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND},
                 offset_B1,
                 [=](const QuerySequence& s, const QueryMemory& m, std::int64_t b, std::int64_t t) {
                   const std::int64_t chosen = choice[offset[b] + t] - offset[b];
                   event(options, s, m, place[b], t, chosen);
                 });
}

}  // namespace seqrank::cpu
