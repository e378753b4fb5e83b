// Rows of a table updated where they lie, on a CUDA device: a warp a row, whose lanes take
// neighbouring columns. Bound by memory: 12 bytes an element for Adagrad, whose gradient is read
// more than once (from a cache, after the first time), 28 for lazy Adam, and rows lie apart.
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

// The same for all lanes.
__device__ bool all_zeros(const float* x, std::int64_t d) {
  float sum = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) sum += fabsf(x[j]);
  return warp_sum(sum) == 0.f;
}

__global__ void rowwise_adagrad_kernel(float* w_KD, float* sum_K, const std::int32_t* id_U,
                                       const float* g_UD, const float* scale_1, RowRate rate,
                                       std::int64_t rows, std::int64_t d) {
  const std::int64_t u = warp_index();
  const float factor = *scale_1;
  if (u >= rows || factor == 0) return;
  const std::int64_t row = id_U[u];
  const float* const g = g_UD + u * d;
  if (all_zeros(g, d)) return;
  float squares = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) squares += (g[j] * factor) * (g[j] * factor);
  const float sum = sum_K[row] + warp_sum(squares) / static_cast<float>(d);
  __syncwarp();  // all lanes have read it: a shuffle orders no memory
  if (lane_index() == 0) sum_K[row] = sum;
  const float step = rate.rate * factor / (sqrtf(sum) + kAdagradEpsilon);
  const float keep = fmaf(-rate.rate, rate.decay, 1.f);
  for (std::int64_t j = lane_index(); j < d; j += 32)
    w_KD[row * d + j] = w_KD[row * d + j] * keep - step * g[j];
}

// log_beta: of both, since 1 - beta^count loses digits where beta^count is almost one.
__global__ void lazy_adam_kernel(float* w_KD, float* m_KD, float* v_KD, float* updates_K,
                                 const std::int32_t* id_U, const float* g_UD, const float* scale_1,
                                 AdamW options, RowRate rate, float log_beta1, float log_beta2,
                                 std::int64_t rows, std::int64_t d) {
  const std::int64_t u = warp_index();
  const float factor = *scale_1;
  if (u >= rows || factor == 0) return;
  const std::int64_t row = id_U[u];
  if (all_zeros(g_UD + u * d, d)) return;
  const float count = updates_K[row] + 1;
  __syncwarp();  // all lanes have read it
  if (lane_index() == 0) updates_K[row] = count;
  const float step = rate.rate / -expm1f(count * log_beta1);
  const float root = 1 / sqrtf(-expm1f(count * log_beta2));
  const float keep = fmaf(-rate.rate, rate.decay, 1.f);
  for (std::int64_t j = lane_index(); j < d; j += 32) {
    const std::int64_t at = row * d + j;
    const float gradient = g_UD[u * d + j] * factor;
    const float first = options.beta1 * m_KD[at] + (1 - options.beta1) * gradient;
    const float second = options.beta2 * v_KD[at] + (1 - options.beta2) * (gradient * gradient);
    m_KD[at] = first;
    v_KD[at] = second;
    w_KD[at] = w_KD[at] * keep - step * first / (sqrtf(second) * root + options.epsilon);
  }
}

}  // namespace

void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  const std::int64_t rows = id_U.dim(0);
  launch<rowwise_adagrad_kernel>(per_warp(rows), stream_of(ctx), update<float>(w_KD),
                                 update<float>(sum_K), in<std::int32_t>(id_U), in<float>(g_UD),
                                 in<float>(scale_1), rate, rows, w_KD.dim(1));
}

void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate) {
  const std::int64_t rows = id_U.dim(0);
  const auto log_beta1 = static_cast<float>(std::log(double{options.beta1}));
  const auto log_beta2 = static_cast<float>(std::log(double{options.beta2}));
  launch<lazy_adam_kernel>(
      per_warp(rows), stream_of(ctx), update<float>(w_KD), update<float>(moments.m_KD),
      update<float>(moments.v_KD), update<float>(moments.updates_K), in<std::int32_t>(id_U),
      in<float>(g_UD), in<float>(scale_1), options, rate, log_beta1, log_beta2, rows, w_KD.dim(1));
}

}  // namespace seqrank::cuda
