// The query-dependent form of additive attention. All inner loops run over the keys of one
// sequence, whose matrices are therefore transposed first: [A, L] and [D, L] lie in a worker's
// scratch memory, and L floats at a time are vectorised. Almost all of the time is act(k_j + q_t).
#include <algorithm>
#include <cmath>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {
namespace {

struct Tanh {
  static float value(float x) { return fast_tanh(x); }
  static float slope(float y) { return 1.0f - y * y; }  // from the result
};
struct Relu {
  static float value(float x) { return x > 0.0f ? x : 0.0f; }
  static float slope(float y) { return y > 0.0f ? 1.0f : 0.0f; }
};

// to [columns, rows] = from [rows, columns]^T.
void transpose(float* to, const float* from, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
  }
}

std::int64_t longest(const Tensor& offset_B1) {
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  std::int64_t longest = 0;
  for (std::int64_t b = 0; b + 1 < offset_B1.numel(); ++b) {
    longest = std::max<std::int64_t>(longest, offset[b + 1] - offset[b]);
  }
  return longest;
}

// score_J = w . act(k_j + q), keys [A, L], the first `count` of them. act_AL: where given, receives
// act(k_j + q).
template <class Act>
void scores(float* score_J, float* act_AL, const float* key_AL, const float* q_A, const float* w_A,
            std::int64_t width, std::int64_t length, std::int64_t count) {
  std::fill_n(score_J, count, 0.0f);
  for (std::int64_t a = 0; a < width; ++a) {
    const float w = w_A[a], q = q_A[a];
    const float* key = key_AL + a * length;
    if (act_AL == nullptr) {
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) score_J[j] += w * Act::value(key[j] + q);
    } else {
      float* act = act_AL + a * length;
#pragma omp simd
      for (std::int64_t j = 0; j < count; ++j) {
        act[j] = Act::value(key[j] + q);
        score_J[j] += w * act[j];
      }
    }
  }
}

// Turns scores into softmax weights; returns the log of the sum of exp(score).
float softmax(float* score_J, std::int64_t count) {
  float max = score_J[0], sum = 0;
  for (std::int64_t j = 1; j < count; ++j) max = std::max(max, score_J[j]);
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < count; ++j) {
    score_J[j] = fast_exp(score_J[j] - max);
    sum += score_J[j];
  }
  const float factor = 1.0f / sum;
#pragma omp simd
  for (std::int64_t j = 0; j < count; ++j) score_J[j] *= factor;
  return max + std::log(sum);
}

// y [columns] += a x.
void add_scaled(float* y, float a, const float* x, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t d = 0; d < columns; ++d) y[d] += a * x[d];
}

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

// One sequence's operands of backward, at its first event; and one worker's memory.
struct Sequence {
  const float *k_LA, *q_LA, *w_A, *v_LD, *c_LD, *dc_LD, *lse_L;
  float *dk_LA, *dq_LA, *dw_A, *dv_LD;  // dw_A: of this sequence, starts as zeros
  std::int64_t keys, width, length;
};

struct Memory {
  Memory(float* begin, std::int64_t keys, std::int64_t width, std::int64_t length)
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
void score_gradients(const Sequence& s, const Memory& m, std::int64_t t) {
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

template <class Act>
void backward_event(const Sequence& s, const Memory& m, std::int64_t t) {
  scores<Act>(m.weight_J, m.act_AL, m.key_AL, s.q_LA + t * s.keys, s.w_A, s.keys, s.length, t + 1);
  const float lse = s.lse_L[t];
#pragma omp simd
  for (std::int64_t j = 0; j <= t; ++j) m.weight_J[j] = fast_exp(m.weight_J[j] - lse);
  score_gradients(s, m, t);
  for (std::int64_t j = 0; j <= t; ++j) {
    add_scaled(s.dv_LD + j * s.width, m.weight_J[j], s.dc_LD + t * s.width, s.width);
  }
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

template <class Act>
void backward_sequence(const Sequence& s, const Memory& m) {
  transpose(m.key_AL, s.k_LA, s.length, s.keys);
  transpose(m.value_DL, s.v_LD, s.length, s.width);
  std::fill_n(m.dkey_AL, s.keys * s.length, 0.0f);
  std::fill_n(s.dv_LD, s.width * s.length, 0.0f);
  std::fill_n(s.dw_A, s.keys, 0.0f);
  for (std::int64_t t = 0; t < s.length; ++t) backward_event<Act>(s, m, t);
  transpose(s.dk_LA, m.dkey_AL, s.keys, s.length);
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
  const std::int64_t keys = w_A.numel(), width = v_ND.dim(1), sequences = offset_B1.numel() - 1;
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const auto run = act == Activation::tanh ? backward_sequence<Tanh> : backward_sequence<Relu>;
  const std::int64_t floats = Memory::floats(keys, width, longest(offset_B1));
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  // One part a sequence, added in their order below: the same bits at any number of threads.
  Tensor dw_BA = ctx.empty(DType::f32, {sequences, keys}, Tag::workspace);
  for_each_sequence(ctx, sequences, [&](std::int64_t worker, std::int64_t b) {
    const std::int64_t n = offset[b], length = offset[b + 1] - n;
    const Sequence sequence{.k_LA = k_NA.data<float>() + n * keys,
                            .q_LA = q_NA.data<float>() + n * keys,
                            .w_A = w_A.data<float>(),
                            .v_LD = v_ND.data<float>() + n * width,
                            .c_LD = c_ND.data<float>() + n * width,
                            .dc_LD = dc_ND.data<float>() + n * width,
                            .lse_L = lse_N.data<float>() + n,
                            .dk_LA = dk_NA.data<float>() + n * keys,
                            .dq_LA = dq_NA.data<float>() + n * keys,
                            .dw_A = dw_BA.data<float>() + b * keys,
                            .dv_LD = dv_ND.data<float>() + n * width,
                            .keys = keys,
                            .width = width,
                            .length = length};
    run(sequence, Memory(scratch.data<float>() + worker * floats, keys, width, length));
  });
  for (std::int64_t b = 0; b < sequences; ++b) {
    add_scaled(dw_A.data<float>(), 1.0f, dw_BA.data<float>() + b * keys, keys);
  }
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
