// The query-dependent form of additive attention: score_tj = w . act(k_j + q_t) for every pair of
// an event and one of its past. A warp takes an event; its lanes take 32 keys (or, for the
// gradients of keys, 32 queries) at a time for the scores, and then share out columns. Backward
// computes the scores again, once by queries and once by keys, so that every gradient is summed by
// one warp, in one order (query_backward.h). Almost all of the time is act().
#include <cfloat>

#include "backend/cuda/kernels.h"
#include "backend/cuda/query_backward.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

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

template <class Act>
__global__ void weights_kernel(float* a_J, const float* lse_N, const float* k_NA, const float* q_NA,
                               const float* w_A, std::int64_t keys, std::int64_t first,
                               std::int64_t count) {
  const std::int64_t j = element_index(), n = first + count - 1;
  if (j >= count) return;
  a_J[j] = expf(score<Act>(k_NA + (first + j) * keys, q_NA + n * keys, w_A, keys) - lse_N[n]);
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
  const auto run = act == Activation::tanh ? query_backward<Tanh, SoftWeights>
                                           : query_backward<Relu, SoftWeights>;
  run(ctx, SoftWeights(), {dk_NA, dq_NA, dw_A, dv_ND},
      {dc_ND, c_ND, lse_N, k_NA, q_NA, w_A, v_ND, offset_B1, {}, {}});
}

void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first) {
  const auto run = act == Activation::tanh ? weights<Tanh> : weights<Relu>;
  run(ctx, a_J, lse_N, k_NA, q_NA, w_A, first);
}

}  // namespace seqrank::cuda
