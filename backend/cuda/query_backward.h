// Backward of query-dependent additive attention on a CUDA device, for its soft and hard forms. The
// scores are computed again, once by queries and once by keys, so that every gradient is summed by
// one warp, in one order. How scores become weights is a type that the kernels are made for.
#pragma once

#include "backend/cuda/additive_attention.h"
#include "backend/cuda/product.h"
#include "backend/cuda/query_scores.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {

// Extents, as numbers that every kernel takes.
struct Sizes {
  std::int64_t events, sequences, keys, width;
};

// Weights: softmax of logit(score, place of the sample, query and key counted in their sequence);
// slope: of the logit. kChoose: values reach the query that chose them alone.
struct SoftWeights {
  static constexpr bool kChoose = false;
  __device__ float logit(float score, std::int64_t, std::int64_t, std::int64_t) const {
    return score;
  }
  __device__ float slope(std::int64_t) const { return 1.f; }
};

// A warp a query n: dq, and its part of dw. dot_N: dc . c.
template <class Act, class Weights>
__global__ void query_gradient_kernel(float* dq_NA, float* dw_NA, const float* dc_ND,
                                      const float* dot_N, const float* lse_N, const float* k_NA,
                                      const float* q_NA, const float* w_A, const float* v_ND,
                                      const std::int32_t* offset_B1, const std::int64_t* place_B,
                                      Weights weights, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, 2 * s.keys);
  float* const dq = told + kTold;
  float* const dw = dq + s.keys;
  const std::int64_t n = warp_index();
  const int lane = lane_index();
  if (n >= s.events) return;
  set_zero(dq, 2 * s.keys);
  const std::int64_t b = sequence_of(n, offset_B1, s.sequences), begin = offset_B1[b];
  const std::int64_t place = Weights::kChoose ? place_B[b] : 0;
  for (std::int64_t first = begin; first <= n; first += 32) {
    const std::int64_t j = first + lane;
    float dscore = 0;
    if (j <= n) {
      const float x = score<Act>(k_NA + j * s.keys, q_NA + n * s.keys, w_A, s.keys);
      const float y = weights.logit(x, place, n - begin, j - begin);
      dscore = expf(y - lse_N[n]) * weights.slope(place) *
               (dot(dc_ND + n * s.width, v_ND + j * s.width, s.width) - dot_N[n]);
    }
    told[lane] = dscore;
    __syncwarp();
    const int rows = static_cast<int>(min(n + 1 - first, 32l));
    for (std::int64_t a = lane; a < s.keys; a += 32) {
      const float q = q_NA[n * s.keys + a];
      float slopes = 0, values = 0;
      for (int i = 0; i < rows; ++i) {
        const float y = Act::value(k_NA[(first + i) * s.keys + a] + q);
        slopes += told[i] * Act::slope(y);
        values += told[i] * y;
      }
      dq[a] += slopes;
      dw[a] += values;
    }
    __syncwarp();
  }
  for (std::int64_t a = lane; a < s.keys; a += 32) {
    dq_NA[n * s.keys + a] = w_A[a] * dq[a];
    dw_NA[n * s.keys + a] = dw[a];
  }
}

// A warp a key j: dk and dv, from the queries of its event and of those that follow.
template <class Act, class Weights>
__global__ void key_gradient_kernel(float* dk_NA, float* dv_ND, const float* dc_ND,
                                    const float* dot_N, const float* lse_N, const float* k_NA,
                                    const float* q_NA, const float* w_A, const float* v_ND,
                                    const std::int32_t* offset_B1, const std::int64_t* place_B,
                                    const std::int32_t* choice_N, Weights weights, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.keys + s.width);
  float* const told_weight = told + 32;
  float* const dk = told + kTold;
  float* const dv = dk + s.keys;
  const std::int64_t j = warp_index();
  const int lane = lane_index();
  if (j >= s.events) return;
  set_zero(dk, s.keys + s.width);
  const std::int64_t b = sequence_of(j, offset_B1, s.sequences);
  const std::int64_t begin = offset_B1[b], end = offset_B1[b + 1];
  const std::int64_t place = Weights::kChoose ? place_B[b] : 0;
  for (std::int64_t first = j; first < end; first += 32) {
    const std::int64_t t = first + lane;
    float weight = 0, dscore = 0;
    if (t < end) {
      const float x = score<Act>(k_NA + j * s.keys, q_NA + t * s.keys, w_A, s.keys);
      weight = expf(weights.logit(x, place, t - begin, j - begin) - lse_N[t]);
      dscore = weight * weights.slope(place) *
               (dot(dc_ND + t * s.width, v_ND + j * s.width, s.width) - dot_N[t]);
      if constexpr (Weights::kChoose) weight = choice_N[t] == j ? 1.f : 0.f;
    }
    told[lane] = dscore;
    told_weight[lane] = weight;
    __syncwarp();
    const int rows = static_cast<int>(min(end - first, 32l));
    add_rows(dv, 1.f, told_weight, dc_ND + first * s.width, rows, s.width);
    for (std::int64_t a = lane; a < s.keys; a += 32) {
      const float k = k_NA[j * s.keys + a];
      float slopes = 0;
      for (int i = 0; i < rows; ++i)
        slopes += told[i] * Act::slope(Act::value(k + q_NA[(first + i) * s.keys + a]));
      dk[a] += slopes;
    }
    __syncwarp();
  }
  for (std::int64_t a = lane; a < s.keys; a += 32) dk_NA[j * s.keys + a] = w_A[a] * dk[a];
  for (std::int64_t d = lane; d < s.width; d += 32) dv_ND[j * s.width + d] = dv[d];
}

inline Sizes sizes_of(const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  return {v_ND.dim(0), offset_B1.numel() - 1, w_A.numel(), v_ND.dim(1)};
}

struct QueryGradients {
  Tensor &dk_NA, &dq_NA, &dw_A, &dv_ND;
};
struct QueryOperands {
  const Tensor &dc_ND, &c_ND, &lse_N, &k_NA, &q_NA, &w_A, &v_ND, &offset_B1;
  const Tensor &place_B, &choice_N;  // absent where nothing is chosen
};

// c: the weighted sum, whatever was handed on.
template <class Act, class Weights>
void query_backward(Context& ctx, const Weights& weights, QueryGradients g,
                    const QueryOperands& o) {
  const Sizes s = sizes_of(o.w_A, o.v_ND, o.offset_B1);
  Tensor dot_N = ctx.empty(DType::f32, {s.events}, Tag::workspace);
  Tensor dw_NA = ctx.empty(DType::f32, {s.events, s.keys}, Tag::workspace);
  row_dots(ctx, dot_N, o.dc_ND, o.c_ND);
  launch<query_gradient_kernel<Act, Weights>>(
      per_event(s.events, 2 * s.keys), stream_of(ctx), out<float>(g.dq_NA), out<float>(dw_NA),
      in<float>(o.dc_ND), in<float>(dot_N), in<float>(o.lse_N), in<float>(o.k_NA),
      in<float>(o.q_NA), in<float>(o.w_A), in<float>(o.v_ND), in<std::int32_t>(o.offset_B1),
      in<std::int64_t>(o.place_B), weights, s);
  launch<key_gradient_kernel<Act, Weights>>(
      per_event(s.events, s.keys + s.width), stream_of(ctx), out<float>(g.dk_NA),
      out<float>(g.dv_ND), in<float>(o.dc_ND), in<float>(dot_N), in<float>(o.lse_N),
      in<float>(o.k_NA), in<float>(o.q_NA), in<float>(o.w_A), in<float>(o.v_ND),
      in<std::int32_t>(o.offset_B1), in<std::int64_t>(o.place_B), in<std::int32_t>(o.choice_N),
      weights, s);
  add_column_sum(ctx, g.dw_A, Matrix(dw_NA));
}

}  // namespace seqrank::cuda
