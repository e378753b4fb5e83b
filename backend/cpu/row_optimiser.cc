// Rows updated where they lie, each by one thread.
#include "backend/ops/row_optimiser.h"

#include <cmath>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread

bool all_zeros(const float* x, std::int64_t d) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < d; ++j) sum += std::abs(x[j]);
  return sum == 0;
}

}  // namespace

void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  const float factor = scale_1.data<float>()[0];
  if (factor == 0) return;
  const std::int64_t d = w_KD.dim(1);
  float* const table = w_KD.data<float>();
  float* const sums = sum_K.data<float>();
  const std::int32_t* const id = id_U.data<std::int32_t>();
  const float* const gradients = g_UD.data<float>();
  const float keep = 1 - rate.rate * rate.decay;
  parallel_for(ctx, id_U.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t u = begin; u < end; ++u) {
      const float* const g = gradients + u * d;
      if (all_zeros(g, d)) continue;
      float* const w = table + id[u] * d;
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (std::int64_t j = 0; j < d; ++j) squares += (g[j] * factor) * (g[j] * factor);
      const float sum = sums[id[u]] + squares / static_cast<float>(d);
      sums[id[u]] = sum;
      const float step = rate.rate * factor / (std::sqrt(sum) + kAdagradEpsilon);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) w[j] = w[j] * keep - step * g[j];
    }
  });
}

void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate) {
  const float factor = scale_1.data<float>()[0];
  if (factor == 0) return;
  const std::int64_t d = w_KD.dim(1);
  float* const w_all = w_KD.data<float>();
  float* const m_all = moments.m_KD.data<float>();
  float* const v_all = moments.v_KD.data<float>();
  float* const updates = moments.updates_K.data<float>();
  const std::int32_t* const id = id_U.data<std::int32_t>();
  const float* const gradients = g_UD.data<float>();
  const float keep = 1 - rate.rate * rate.decay;
  const float beta1 = options.beta1, beta2 = options.beta2, epsilon = options.epsilon;
  parallel_for(ctx, id_U.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t u = begin; u < end; ++u) {
      const std::int64_t row = id[u];
      const float* const g = gradients + u * d;
      if (all_zeros(g, d)) continue;
      float *const w = w_all + row * d, *const m = m_all + row * d, *const v = v_all + row * d;
      const double count = updates[row] + 1.0;
      updates[row] = static_cast<float>(count);
      const auto step = static_cast<float>(rate.rate / (1 - std::pow(double{beta1}, count)));
      const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(double{beta2}, count)));
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) {
        const float gradient = g[j] * factor;
        const float first = beta1 * m[j] + (1 - beta1) * gradient;
        const float second = beta2 * v[j] + (1 - beta2) * (gradient * gradient);
        m[j] = first;
        v[j] = second;
        w[j] = w[j] * keep - step * first / (std::sqrt(second) * root + epsilon);
      }
    }
  });
}

}  // namespace seqrank::cpu
