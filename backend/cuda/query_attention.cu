// The query-dependent form of additive attention: score_tj = w . act(k_j + q_t) for every pair of
// an event and one of its past. A warp takes an event; its lanes take 32 keys (or, for the
// gradients of keys, 32 queries) at a time for the scores, and then share out columns. Backward
// computes the scores again, once by queries and once by keys, so that every gradient is summed by
// one warp, in one order. Almost all of the time is act().
#include <cfloat>

#include "backend/cuda/additive_attention.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

struct Tanh {
  static __device__ float value(float x) { return tanhf(x); }
  static __device__ float slope(float y) { return 1.f - y * y; }  // from the result
};
struct Relu {
  static __device__ float value(float x) { return fmaxf(x, 0.f); }
  static __device__ float slope(float y) { return y > 0.f ? 1.f : 0.f; }
};

// Extents, as numbers that every kernel takes.
struct Sizes {
  std::int64_t events, sequences, keys, width;
};

// The sequence of event n: the last that begins at or before it. Empty ones begin where others do.
__device__ std::int64_t sequence_of(std::int64_t n, const std::int32_t* offset_B1,
                                    std::int64_t sequences) {
  std::int64_t low = 0, high = sequences;  // offset[low] <= n < offset[high]
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (offset_B1[middle] <= n ? low : high) = middle;
  }
  return low;
}

template <class Act>
__device__ float score(const float* k_A, const float* q_A, const float* w_A, std::int64_t keys) {
  float sum = 0;
  for (std::int64_t a = 0; a < keys; ++a) sum += w_A[a] * Act::value(k_A[a] + q_A[a]);
  return sum;
}

__device__ float dot(const float* x_D, const float* y_D, std::int64_t width) {
  float sum = 0;
  for (std::int64_t d = 0; d < width; ++d) sum += x_D[d] * y_D[d];
  return sum;
}

// sum_D[d] = factor sum_D[d] + (sum over i of weight_32[i] x[i][d]), lanes taking columns.
__device__ void add_rows(float* sum_D, float factor, const float* weight_32, const float* x_ID,
                         int rows, std::int64_t width) {
  for (std::int64_t d = lane_index(); d < width; d += 32) {
    float sum = factor * sum_D[d];
    for (int i = 0; i < rows; ++i) sum += weight_32[i] * x_ID[i * width + d];
    sum_D[d] = sum;
  }
}

__device__ void set_zero(float* x, std::int64_t n) {
  for (std::int64_t i = lane_index(); i < n; i += 32) x[i] = 0.f;
}

// Of a warp, floats: 64 for what its lanes tell one another, and sums.
constexpr std::int64_t kTold = 64;
__device__ float* memory_of_warp(float* of_block, std::int64_t sums) {
  return of_block + threadIdx.x / 32 * (kTold + sums);
}
LaunchShape per_event(std::int64_t events, std::int64_t sums) {
  LaunchShape shape = per_warp(events);
  shape.dynamic_shared = static_cast<std::size_t>(kThreads / 32 * (kTold + sums)) * sizeof(float);
  return shape;
}

// A warp a query n.
template <class Act>
__global__ void forward_kernel(float* c_ND, float* lse_N, const float* k_NA, const float* q_NA,
                               const float* w_A, const float* v_ND, const std::int32_t* offset_B1,
                               Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.width);
  float* const c = told + kTold;
  const std::int64_t n = warp_index();
  const int lane = lane_index();
  if (n >= s.events) return;
  set_zero(c, s.width);
  float largest = -FLT_MAX, sum = 0;
  for (std::int64_t first = offset_B1[sequence_of(n, offset_B1, s.sequences)]; first <= n;
       first += 32) {
    const std::int64_t j = first + lane;
    const bool past = j <= n;
    const float x = past ? score<Act>(k_NA + j * s.keys, q_NA + n * s.keys, w_A, s.keys) : -FLT_MAX;
    const float both = fmaxf(largest, warp_max(x));
    const float term = past ? expf(x - both) : 0.f, factor = expf(largest - both);
    sum = factor * sum + warp_sum(term);
    largest = both;
    told[lane] = term;
    __syncwarp();
    add_rows(c, factor, told, v_ND + first * s.width, static_cast<int>(min(n + 1 - first, 32l)),
             s.width);
    __syncwarp();
  }
  for (std::int64_t d = lane; d < s.width; d += 32) c_ND[n * s.width + d] = c[d] / sum;
  if (lane == 0) lse_N[n] = largest + logf(sum);
}

// A warp a query n: dq, and its part of dw. dot_N: dc . c.
template <class Act>
__global__ void query_gradient_kernel(float* dq_NA, float* dw_NA, const float* dc_ND,
                                      const float* dot_N, const float* lse_N, const float* k_NA,
                                      const float* q_NA, const float* w_A, const float* v_ND,
                                      const std::int32_t* offset_B1, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, 2 * s.keys);
  float* const dq = told + kTold;
  float* const dw = dq + s.keys;
  const std::int64_t n = warp_index();
  const int lane = lane_index();
  if (n >= s.events) return;
  set_zero(dq, 2 * s.keys);
  for (std::int64_t first = offset_B1[sequence_of(n, offset_B1, s.sequences)]; first <= n;
       first += 32) {
    const std::int64_t j = first + lane;
    float dscore = 0;
    if (j <= n) {
      const float x = score<Act>(k_NA + j * s.keys, q_NA + n * s.keys, w_A, s.keys);
      dscore =
          expf(x - lse_N[n]) * (dot(dc_ND + n * s.width, v_ND + j * s.width, s.width) - dot_N[n]);
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
template <class Act>
__global__ void key_gradient_kernel(float* dk_NA, float* dv_ND, const float* dc_ND,
                                    const float* dot_N, const float* lse_N, const float* k_NA,
                                    const float* q_NA, const float* w_A, const float* v_ND,
                                    const std::int32_t* offset_B1, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.keys + s.width);
  float* const told_weight = told + 32;
  float* const dk = told + kTold;
  float* const dv = dk + s.keys;
  const std::int64_t j = warp_index();
  const int lane = lane_index();
  if (j >= s.events) return;
  set_zero(dk, s.keys + s.width);
  const std::int64_t end = offset_B1[sequence_of(j, offset_B1, s.sequences) + 1];
  for (std::int64_t first = j; first < end; first += 32) {
    const std::int64_t t = first + lane;
    float weight = 0, dscore = 0;
    if (t < end) {
      const float x = score<Act>(k_NA + j * s.keys, q_NA + t * s.keys, w_A, s.keys);
      weight = expf(x - lse_N[t]);
      dscore = weight * (dot(dc_ND + t * s.width, v_ND + j * s.width, s.width) - dot_N[t]);
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

template <class Act>
__global__ void weights_kernel(float* a_J, const float* lse_N, const float* k_NA, const float* q_NA,
                               const float* w_A, std::int64_t keys, std::int64_t first,
                               std::int64_t count) {
  const std::int64_t j = element_index(), n = first + count - 1;
  if (j >= count) return;
  a_J[j] = expf(score<Act>(k_NA + (first + j) * keys, q_NA + n * keys, w_A, keys) - lse_N[n]);
}

Sizes sizes_of(const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  return {v_ND.dim(0), offset_B1.numel() - 1, w_A.numel(), v_ND.dim(1)};
}

template <class Act>
void forward(Context& ctx, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
             const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const Sizes s = sizes_of(w_A, v_ND, offset_B1);
  launch<forward_kernel<Act>>(per_event(s.events, s.width), stream_of(ctx), out<float>(c_ND),
                              out<float>(lse_N), in<float>(k_NA), in<float>(q_NA), in<float>(w_A),
                              in<float>(v_ND), in<std::int32_t>(offset_B1), s);
}

template <class Act>
void backward(Context& ctx, Tensor& dk_NA, Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND,
              const Tensor& dc_ND, const Tensor& c_ND, const Tensor& lse_N, const Tensor& k_NA,
              const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const Sizes s = sizes_of(w_A, v_ND, offset_B1);
  Tensor dot_N = ctx.empty(DType::f32, {s.events}, Tag::workspace);
  Tensor dw_NA = ctx.empty(DType::f32, {s.events, s.keys}, Tag::workspace);
  row_dots(ctx, dot_N, dc_ND, c_ND);
  launch<query_gradient_kernel<Act>>(
      per_event(s.events, 2 * s.keys), stream_of(ctx), out<float>(dq_NA), out<float>(dw_NA),
      in<float>(dc_ND), in<float>(dot_N), in<float>(lse_N), in<float>(k_NA), in<float>(q_NA),
      in<float>(w_A), in<float>(v_ND), in<std::int32_t>(offset_B1), s);
  launch<key_gradient_kernel<Act>>(
      per_event(s.events, s.keys + s.width), stream_of(ctx), out<float>(dk_NA), out<float>(dv_ND),
      in<float>(dc_ND), in<float>(dot_N), in<float>(lse_N), in<float>(k_NA), in<float>(q_NA),
      in<float>(w_A), in<float>(v_ND), in<std::int32_t>(offset_B1), s);
  add_column_sum(ctx, dw_A, Matrix(dw_NA));
}

template <class Act>
void weights(Context& ctx, Tensor& a_J, const Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
             const Tensor& w_A, std::int64_t first) {
  launch<weights_kernel<Act>>(per_element(a_J.numel()), stream_of(ctx), out<float>(a_J),
                              in<float>(lse_N), in<float>(k_NA), in<float>(q_NA), in<float>(w_A),
                              w_A.numel(), first, a_J.numel());
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
  const auto run = act == Activation::tanh ? backward<Tanh> : backward<Relu>;
  run(ctx, dk_NA, dq_NA, dw_A, dv_ND, dc_ND, c_ND, lse_N, k_NA, q_NA, w_A, v_ND, offset_B1);
}

void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first) {
  const auto run = act == Activation::tanh ? weights<Tanh> : weights<Relu>;
  run(ctx, a_J, lse_N, k_NA, q_NA, w_A, first);
}

}  // namespace seqrank::cuda
