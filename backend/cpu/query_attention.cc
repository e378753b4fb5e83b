// The query-dependent form of additive attention. All inner loops run over the keys of one
// sequence, whose matrices are therefore transposed first: [A, L] and [D, L] lie in a worker's
// scratch memory, and L floats at a time are vectorised. Almost all of the time is act(k_j + q_t).
#include <algorithm>
#include <cmath>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/query_backward.h"

namespace seqrank::cpu {
namespace {

template <class Act>
void forward(Context& ctx, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
             const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const std::int64_t keys = w_A.numel(), width = v_ND.dim(1), most = longest(offset_B1);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const float *k = k_NA.data<float>(), *q = q_NA.data<float>(), *w = w_A.data<float>();
  const float* v = v_ND.data<float>();
  float *context = c_ND.data<float>(), *lse = lse_N.data<float>();
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), (keys + 1) * most}, Tag::workspace);
  float* scratch_TX = scratch.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [=](std::int64_t worker, std::int64_t b) {
    const std::int64_t begin = offset[b], length = offset[b + 1] - begin;
    float* key_AL = scratch_TX + worker * (keys + 1) * most;
    float* weight_J = key_AL + keys * length;
    transpose(key_AL, k + begin * keys, length, keys);
    for (std::int64_t t = 0; t < length; ++t) {
      scores<Act>(weight_J, nullptr, key_AL, q + (begin + t) * keys, w, keys, length, t + 1);
      lse[begin + t] = softmax(weight_J, t + 1);
      float* c = context + (begin + t) * width;
      std::fill_n(c, width, 0.0f);
      for (std::int64_t j = 0; j <= t; ++j)
        add_scaled(c, weight_J[j], v + (begin + j) * width, width);
    }
  });
}

template <class Act>
void backward_event(const QuerySequence& s, const QueryMemory& m, std::int64_t t) {
  scores<Act>(m.weight_J, m.act_AL, m.key_AL, s.q_LA + t * s.keys, s.w_A, s.keys, s.length, t + 1);
  const float lse = s.lse_L[t];
#pragma omp simd
  for (std::int64_t j = 0; j <= t; ++j) m.weight_J[j] = fast_exp(m.weight_J[j] - lse);
  score_gradients(s, m, t);
  for (std::int64_t j = 0; j <= t; ++j) {
    add_scaled(s.dv_LD + j * s.width, m.weight_J[j], s.dc_LD + t * s.width, s.width);
  }
  key_gradients<Act>(s, m, t);
}

}  // namespace

void query_attention(Context& ctx, Activation act, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA,
                     const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND,
                     const Tensor& offset_B1) {
  const auto run = act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, c_ND, lse_N, k_NA, q_NA, w_A, v_ND, offset_B1);
}

void query_attention_backward(Context& ctx, Activation act, Tensor& dk_NA, Tensor& dq_NA,
                              Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND, const Tensor& c_ND,
                              const Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                              const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const auto event = act == Activation::tanh ? backward_event<Tanh> : backward_event<Relu>;
  query_backward(ctx, {dk_NA, dq_NA, dw_A, dv_ND, dc_ND, c_ND, lse_N, k_NA, q_NA, w_A, v_ND},
                 offset_B1,
                 [=](const QuerySequence& s, const QueryMemory& m, std::int64_t, std::int64_t t) {
                   event(s, m, t);
                 });
}

void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first) {
  const std::int64_t keys = w_A.numel(), length = a_J.numel(), n = first + length - 1;
  Tensor key_AL = ctx.empty(DType::f32, {keys, length}, Tag::workspace);
  transpose(key_AL.data<float>(), k_NA.data<float>() + first * keys, length, keys);
  float* a = a_J.data<float>();
  const auto run = act == Activation::tanh ? scores<Tanh> : scores<Relu>;
  run(a, nullptr, key_AL.data<float>(), q_NA.data<float>() + n * keys, w_A.data<float>(), keys,
      length, length);
  const float lse = lse_N.data<float>()[n];
  for (std::int64_t j = 0; j < length; ++j) a[j] = std::exp(a[j] - lse);
}

}  // namespace seqrank::cpu
