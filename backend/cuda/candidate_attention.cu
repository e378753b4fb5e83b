// Candidates over whole histories: a warp a candidate and sequence, its lanes taking 32 keys at a
// time for the scores and then sharing out columns, as the other forms of additive attention do.
#include <cfloat>

#include "backend/cuda/kernels.h"
#include "backend/cuda/query_scores.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

template <class Act>
__global__ void soft_kernel(float* z_MD, const float* k_NA, const float* q_CA, const float* w_A,
                            const float* v_ND, const std::int32_t* offset_B1, std::int64_t rows,
                            std::int64_t candidates, std::int64_t keys, std::int64_t width) {
  DYNAMIC_SHARED(float, of_block);
  float* const told = memory_of_warp(of_block, width);
  float* const z = told + kTold;
  const std::int64_t m = warp_index();
  const int lane = lane_index();
  if (m >= rows) return;
  const std::int64_t end = offset_B1[m / candidates + 1];
  const float* q = q_CA + m % candidates * keys;
  set_zero(z, width);
  float largest = -FLT_MAX, sum = 0;
  for (std::int64_t first = offset_B1[m / candidates]; first < end; first += 32) {
    const std::int64_t j = first + lane;
    const float x = j < end ? score<Act>(k_NA + j * keys, q, w_A, keys) : -FLT_MAX;
    const float both = fmaxf(largest, warp_max(x));
    const float term = j < end ? expf(x - both) : 0.f, factor = expf(largest - both);
    sum = factor * sum + warp_sum(term);
    largest = both;
    told[lane] = term;
    __syncwarp();
    add_rows(z, factor, told, v_ND + first * width, static_cast<int>(min(end - first, 32l)), width);
    __syncwarp();
  }
  for (std::int64_t d = lane; d < width; d += 32) z_MD[m * width + d] = sum > 0 ? z[d] / sum : 0.f;
}

template <class Act>
__global__ void hard_kernel(float* z_MD, const float* k_NA, const float* q_CA, const float* w_A,
                            const float* v_ND, const std::int32_t* offset_B1, std::int64_t rows,
                            std::int64_t candidates, std::int64_t keys, std::int64_t width) {
  const std::int64_t m = warp_index();
  const int lane = lane_index();
  if (m >= rows) return;
  const std::int64_t end = offset_B1[m / candidates + 1];
  const float* q = q_CA + m % candidates * keys;
  float largest = -FLT_MAX;
  std::int64_t best = -1;
  for (std::int64_t j = offset_B1[m / candidates] + lane; j < end; j += 32) {
    const float x = score<Act>(k_NA + j * keys, q, w_A, keys);
    if (best >= 0 && x <= largest) continue;
    largest = x;
    best = j;
  }
  best = first_of_largest(largest, best);
  for (std::int64_t d = lane; d < width; d += 32)
    z_MD[m * width + d] = best < 0 ? 0.f : v_ND[best * width + d];
}

template <class Act>
void meet(Context& ctx, Attend attend, Tensor& z_MD, const Tensor& k_NA, const Tensor& q_CA,
          const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const std::int64_t rows = z_MD.dim(0), width = z_MD.dim(1);
  const auto run = [&]<auto kernel>(const LaunchShape& shape) {
    launch<kernel>(shape, stream_of(ctx), out<float>(z_MD), in<float>(k_NA), in<float>(q_CA),
                   in<float>(w_A), in<float>(v_ND), in<std::int32_t>(offset_B1), rows, q_CA.dim(0),
                   w_A.numel(), width);
  };
  if (attend == Attend::soft)
    run.template operator()<soft_kernel<Act>>(per_event(rows, width));
  else
    run.template operator()<hard_kernel<Act>>(per_warp(rows));
}

}  // namespace

void candidate_attention(Context& ctx, Attend attend, Activation act, Tensor& z_MD,
                         const Tensor& k_NA, const Tensor& q_CA, const Tensor& w_A,
                         const Tensor& v_ND, const Tensor& offset_B1) {
  const auto run = act == Activation::tanh ? meet<Tanh> : meet<Relu>;
  run(ctx, attend, z_MD, k_NA, q_CA, w_A, v_ND, offset_B1);
}

}  // namespace seqrank::cuda
