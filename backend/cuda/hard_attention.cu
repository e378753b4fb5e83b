// Hard attention: a warp a query, its lanes taking 32 keys at a time. Every lane draws the noise of
// its key itself, whole words of Philox at a quarter of their use: little beside the scores.
#include <cfloat>

#include "backend/cuda/kernels.h"
#include "backend/cuda/query_backward.h"

namespace seqrank::cuda {
namespace {

struct HardWeights {
  static constexpr bool kChoose = true;
  HardAttention options;

  __device__ float slope(std::int64_t place) const { return 1.f / temperature_at(options, place); }
  __device__ float logit(float score, std::int64_t place, std::int64_t t, std::int64_t j) const {
    if (!options.noise) return score;
    const Philox4 words = gumbel_words(options, place, t, j / 4);
    const std::uint32_t low = j % 2 == 0 ? words[0] : words[1];
    const std::uint32_t high = j % 2 == 0 ? words[2] : words[3];
    const float g = -logf(-logf(inner_uniform(j % 4 < 2 ? low : high)));
    return (score + g) * slope(place);
  }
};

template <class Act>
__global__ void forward_kernel(float* c_ND, std::int32_t* choice_N, float* soft_ND, float* lse_N,
                               const float* k_NA, const float* q_NA, const float* w_A,
                               const float* v_ND, const std::int64_t* place_B,
                               const std::int32_t* offset_B1, HardWeights weights, Sizes s) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, s.width);
  float* const soft = told + kTold;
  const std::int64_t n = warp_index();
  const int lane = lane_index();
  if (n >= s.events) return;
  const std::int64_t b = sequence_of(n, offset_B1, s.sequences), begin = offset_B1[b];
  set_zero(soft, s.width);
  float largest = -FLT_MAX, sum = 0, own_largest = -FLT_MAX;
  std::int64_t best = -1;  // of this lane's keys
  for (std::int64_t first = begin; first <= n; first += 32) {
    const std::int64_t j = first + lane;
    float y = -FLT_MAX;
    if (j <= n) {
      const float x = score<Act>(k_NA + j * s.keys, q_NA + n * s.keys, w_A, s.keys);
      y = weights.logit(x, place_B[b], n - begin, j - begin);
      if (best < 0 || y > own_largest) {
        own_largest = y;
        best = j;
      }
    }
    const float both = fmaxf(largest, warp_max(y));
    const float term = j <= n ? expf(y - both) : 0.f, factor = expf(largest - both);
    sum = factor * sum + warp_sum(term);
    largest = both;
    told[lane] = term;
    __syncwarp();
    add_rows(soft, factor, told, v_ND + first * s.width, static_cast<int>(min(n + 1 - first, 32l)),
             s.width);
    __syncwarp();
  }
  best = first_of_largest(own_largest, best);
  for (std::int64_t d = lane; d < s.width; d += 32) {
    soft_ND[n * s.width + d] = soft[d] / sum;
    c_ND[n * s.width + d] = v_ND[best * s.width + d];
  }
  if (lane > 0) return;
  lse_N[n] = largest + logf(sum);
  choice_N[n] = static_cast<std::int32_t>(best);
}

}  // namespace

void hard_attention(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
                    Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                    const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
                    const Tensor& offset_B1) {
  const Sizes s = sizes_of(w_A, v_ND, offset_B1);
  const auto run = [&]<auto kernel>() {
    launch<kernel>(per_event(s.events, s.width), stream_of(ctx), out<float>(c_ND),
                   out<std::int32_t>(choice_N), out<float>(soft_ND), out<float>(lse_N),
                   in<float>(k_NA), in<float>(q_NA), in<float>(w_A), in<float>(v_ND),
                   in<std::int64_t>(place_B), in<std::int32_t>(offset_B1), HardWeights{options}, s);
  };
  if (options.act == Activation::tanh)
    run.template operator()<forward_kernel<Tanh>>();
  else
    run.template operator()<forward_kernel<Relu>>();
}

void hard_attention_backward(Context& ctx, const HardAttention& options, Tensor& dk_NA,
                             Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND,
                             const Tensor& choice_N, const Tensor& soft_ND, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             const Tensor& v_ND, const Tensor& place_B, const Tensor& offset_B1) {
  const auto run = options.act == Activation::tanh ? query_backward<Tanh, HardWeights>
                                                   : query_backward<Relu, HardWeights>;
  run(ctx, HardWeights{options}, {dk_NA, dq_NA, dw_A, dv_ND},
      {dc_ND, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND, offset_B1, place_B, choice_N});
}

}  // namespace seqrank::cuda
