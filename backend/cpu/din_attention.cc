// DIN's activation unit, a few queries of one sequence at a time. Since P (h x) = (P diag x) h, the
// queries' own copies of P, one under the other, meet all keys in one product; its result [A, J] of
// each query has keys side by side, so that the loops over them are vectorised.
#include "backend/cpu/din_attention.h"

#include <algorithm>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/query_scores.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kQueries = 4;

// The events of one sequence, and the queries that meet them.
struct DinSequence {
  const float *h_LD, *k_LA, *x_QD, *q_QA;
  const float *p_AD, *w_A, b;
  std::int64_t keys, width, length;
};

struct DinMemory {
  static std::int64_t floats(std::int64_t keys, std::int64_t width, std::int64_t length) {
    return keys * length + kQueries * (keys * (2 * width + length) + 2 * length);
  }
  DinMemory(float* begin, std::int64_t keys, std::int64_t width, std::int64_t length)
      : key_AL(begin),
        p_QAD(key_AL + keys * length),
        dp_QAD(p_QAD + kQueries * keys * width),
        act_QAL(dp_QAD + kQueries * keys * width),
        weight_QL(act_QAL + kQueries * keys * length),
        dweight_QL(weight_QL + kQueries * length) {}
  float *key_AL, *p_QAD, *dp_QAD, *act_QAL, *weight_QL, *dweight_QL;
};

// Queries [first, first + count) on the first `seen` events: act_QAL and weight_QL, rows of `seen`.
template <class Act>
void weigh(const DinSequence& s, const DinMemory& m, std::int64_t first, std::int64_t count,
           std::int64_t seen) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float* x = s.x_QD + (first + i) * s.width;
    for (std::int64_t a = 0; a < s.keys; ++a) {
      float* p = m.p_QAD + (i * s.keys + a) * s.width;
#pragma omp simd
      for (std::int64_t d = 0; d < s.width; ++d) p[d] = s.p_AD[a * s.width + d] * x[d];
    }
  }
  gemm(count * s.keys, seen, s.width, 1, {m.p_QAD, s.width}, {s.h_LD, s.width, Transpose::yes}, 0,
       m.act_QAL, seen);
  for (std::int64_t i = 0; i < count; ++i) {
    float* weight = m.weight_QL + i * seen;
    std::fill_n(weight, seen, s.b);
    for (std::int64_t a = 0; a < s.keys; ++a) {
      const float w = s.w_A[a], q = s.q_QA[(first + i) * s.keys + a];
      const float* key = m.key_AL + a * s.length;
      float* act = m.act_QAL + (i * s.keys + a) * seen;
#pragma omp simd
      for (std::int64_t j = 0; j < seen; ++j) {
        act[j] = Act::value(act[j] + key[j] + q);
        weight[j] += w * act[j];
      }
    }
  }
}

// z of queries [first, first + count); query first + i sees seen - count + 1 + i events where
// causal, else all `seen`.
template <class Act>
void pool(const DinSequence& s, const DinMemory& m, float* z_QD, std::int64_t first,
          std::int64_t count, std::int64_t seen, bool causal) {
  weigh<Act>(s, m, first, count, seen);
  for (std::int64_t i = 0; causal && i + 1 < count; ++i)
    std::fill_n(m.weight_QL + i * seen + (seen - count + 1 + i), count - 1 - i, 0.0f);
  gemm(count, s.width, seen, 1, {m.weight_QL, seen}, {s.h_LD, s.width}, 0, z_QD + first * s.width,
       s.width);
}

// Of one sequence. dp_AD, dw_A, db: parts of the sums, which start as zeros.
struct DinSequenceGradients {
  const float* dz_LD;
  float *dh_LD, *dx_LD, *dk_LA, *dq_LA, *dp_AD, *dw_A, *db;
};

// act_QAL becomes the gradient of what goes into act; dw, dq, and dk in dkey_AL.
template <class Act>
void act_gradients(const DinSequence& s, const DinMemory& m, const DinSequenceGradients& g,
                   float* dkey_AL, std::int64_t first, std::int64_t count, std::int64_t seen) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float* dweight = m.dweight_QL + i * seen;
    for (std::int64_t j = 0; j < seen; ++j) *g.db += dweight[j];
    for (std::int64_t a = 0; a < s.keys; ++a) {
      float* act = m.act_QAL + (i * s.keys + a) * seen;
      float* dkey = dkey_AL + a * s.length;
      const float w = s.w_A[a];
      float dw = 0, dq = 0;
#pragma omp simd reduction(+ : dw, dq)
      for (std::int64_t j = 0; j < seen; ++j) {
        const float inner = dweight[j] * w * Act::slope(act[j]);
        dw += dweight[j] * act[j];
        dq += inner;
        dkey[j] += inner;
        act[j] = inner;
      }
      g.dw_A[a] += dw;
      g.dq_LA[(first + i) * s.keys + a] = dq;
    }
  }
}

template <class Act>
void backward_queries(const DinSequence& s, const DinMemory& m, const DinSequenceGradients& g,
                      float* dkey_AL, std::int64_t first, std::int64_t count) {
  const std::int64_t seen = first + count, rows = count * s.keys;
  weigh<Act>(s, m, first, count, seen);
  const float* dz = g.dz_LD + first * s.width;
  gemm(count, seen, s.width, 1, {dz, s.width}, {s.h_LD, s.width, Transpose::yes}, 0, m.dweight_QL,
       seen);
  for (std::int64_t i = 0; i + 1 < count; ++i) {
    for (float* row : {m.weight_QL, m.dweight_QL})
      std::fill_n(row + i * seen + first + i + 1, count - 1 - i, 0.0f);
  }
  gemm(seen, s.width, count, 1, {m.weight_QL, seen, Transpose::yes}, {dz, s.width}, 1, g.dh_LD,
       s.width);
  act_gradients<Act>(s, m, g, dkey_AL, first, count, seen);
  gemm(seen, s.width, rows, 1, {m.act_QAL, seen, Transpose::yes}, {m.p_QAD, s.width}, 1, g.dh_LD,
       s.width);
  gemm(rows, s.width, seen, 1, {m.act_QAL, seen}, {s.h_LD, s.width}, 0, m.dp_QAD, s.width);
  for (std::int64_t i = 0; i < count; ++i) {
    const float* x = s.x_QD + (first + i) * s.width;
    float* dx = g.dx_LD + (first + i) * s.width;
    std::fill_n(dx, s.width, 0.0f);
    for (std::int64_t a = 0; a < s.keys; ++a) {
      const float *dp = m.dp_QAD + (i * s.keys + a) * s.width, *p = s.p_AD + a * s.width;
      float* dp_sum = g.dp_AD + a * s.width;
#pragma omp simd
      for (std::int64_t d = 0; d < s.width; ++d) {
        dx[d] += dp[d] * p[d];
        dp_sum[d] += dp[d] * x[d];
      }
    }
  }
}

// query_rows: of x and q before those of this sequence.
DinSequence sequence_at(std::int64_t first, std::int64_t length, std::int64_t query_rows,
                        const Tensor& h_ND, const Tensor& x_QD, const Tensor& k_NA,
                        const Tensor& q_QA, const Tensor& p_AD, const Tensor& w_A,
                        const Tensor& b_1) {
  const std::int64_t keys = w_A.numel(), width = h_ND.dim(1);
  return {.h_LD = h_ND.data<float>() + first * width,
          .k_LA = k_NA.data<float>() + first * keys,
          .x_QD = x_QD.data<float>() + query_rows * width,
          .q_QA = q_QA.data<float>() + query_rows * keys,
          .p_AD = p_AD.data<float>(),
          .w_A = w_A.data<float>(),
          .b = b_1.data<float>()[0],
          .keys = keys,
          .width = width,
          .length = length};
}

// candidates < 0: the events themselves ask, each about its past.
template <class Act>
void forward(Context& ctx, Tensor& z_MD, const Tensor& h_ND, const Tensor& x_QD, const Tensor& k_NA,
             const Tensor& q_QA, const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
             const Tensor& offset_B1, std::int64_t candidates) {
  const bool causal = candidates < 0;
  const std::int64_t keys = w_A.numel(), width = h_ND.dim(1), most = longest(offset_B1);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const std::int64_t floats = DinMemory::floats(keys, width, most);
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  float *scratch_TX = scratch.data<float>(), *z = z_MD.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [&](std::int64_t worker, std::int64_t b) {
    const std::int64_t begin = offset[b], length = offset[b + 1] - begin;
    const std::int64_t queries = causal ? length : candidates;
    float* z_QD = z + (causal ? begin : b * candidates) * width;
    if (length == 0) {
      std::fill_n(z_QD, queries * width, 0.0f);
      return;
    }
    const DinSequence s =
        sequence_at(begin, length, causal ? begin : 0, h_ND, x_QD, k_NA, q_QA, p_AD, w_A, b_1);
    const DinMemory m(scratch_TX + worker * floats, keys, width, length);
    transpose(m.key_AL, s.k_LA, length, keys);
    for (std::int64_t first = 0; first < queries; first += kQueries) {
      const std::int64_t count = std::min(kQueries, queries - first);
      pool<Act>(s, m, z_QD, first, count, causal ? first + count : length, causal);
    }
  });
}

template <class Act>
void backward(Context& ctx, const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
              const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
              const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  const std::int64_t keys = w_A.numel(), width = h_ND.dim(1), most = longest(offset_B1);
  const std::int64_t sequences = offset_B1.numel() - 1;
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const std::int64_t floats = DinMemory::floats(keys, width, most) + keys * most;
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), floats}, Tag::workspace);
  // One part a sequence, added in their order below: the same bits at any number of threads.
  const std::int64_t sums = keys * width + keys + 1;
  Tensor part_BS = ctx.empty(DType::f32, {sequences, sums}, Tag::workspace);
  for_each_sequence(ctx, sequences, [&](std::int64_t worker, std::int64_t b) {
    const std::int64_t n = offset[b], length = offset[b + 1] - n;
    float* part = part_BS.data<float>() + b * sums;
    std::fill_n(part, sums, 0.0f);
    if (length == 0) return;
    const DinSequence s = sequence_at(n, length, n, h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1);
    const DinSequenceGradients g{.dz_LD = dz_ND.data<float>() + n * width,
                                 .dh_LD = gradients.dh_ND.data<float>() + n * width,
                                 .dx_LD = gradients.dx_ND.data<float>() + n * width,
                                 .dk_LA = gradients.dk_NA.data<float>() + n * keys,
                                 .dq_LA = gradients.dq_NA.data<float>() + n * keys,
                                 .dp_AD = part,
                                 .dw_A = part + keys * width,
                                 .db = part + keys * width + keys};
    float* dkey_AL = scratch.data<float>() + worker * floats;
    const DinMemory m(dkey_AL + keys * length, keys, width, length);
    transpose(m.key_AL, s.k_LA, length, keys);
    std::fill_n(dkey_AL, keys * length, 0.0f);
    std::fill_n(g.dh_LD, length * width, 0.0f);
    for (std::int64_t first = 0; first < length; first += kQueries)
      backward_queries<Act>(s, m, g, dkey_AL, first, std::min(kQueries, length - first));
    transpose(g.dk_LA, dkey_AL, keys, length);
  });
  for (std::int64_t b = 0; b < sequences; ++b) {
    const float* part = part_BS.data<float>() + b * sums;
    add_scaled(gradients.dp_AD.data<float>(), 1.0f, part, keys * width);
    add_scaled(gradients.dw_A.data<float>(), 1.0f, part + keys * width, keys);
    gradients.db_1.data<float>()[0] += part[keys * width + keys];
  }
}

}  // namespace

void din_attention(Context& ctx, const DinAttention& options, Tensor& z_ND, const Tensor& h_ND,
                   const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
                   const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, z_ND, h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1, -1);
}

void din_attention_backward(Context& ctx, const DinAttention& options,
                            const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
                            const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA,
                            const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                            const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? backward<Tanh> : backward<Relu>;
  run(ctx, gradients, dz_ND, h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1);
}

void din_candidates(Context& ctx, const DinAttention& options, Tensor& z_MD, const Tensor& h_ND,
                    const Tensor& x_CD, const Tensor& k_NA, const Tensor& q_CA, const Tensor& p_AD,
                    const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? forward<Tanh> : forward<Relu>;
  run(ctx, z_MD, h_ND, x_CD, k_NA, q_CA, p_AD, w_A, b_1, offset_B1, x_CD.dim(0));
}

}  // namespace seqrank::cpu
