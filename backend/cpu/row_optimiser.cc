// Rows updated where they lie, each by one thread.
#include "backend/ops/row_optimiser.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "backend/bf16.h"
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

// w[j] = value(j, w[j]) for the d columns of a row, which is `row` of those here.
template <class Value>
void renew(float* w, std::int64_t, std::int64_t d, const RowRounding&, Value&& value) {
#pragma GCC ivdep
  for (std::int64_t j = 0; j < d; ++j) w[j] = value(j, w[j]);
}

void draw(std::uint32_t* random, std::int64_t columns, const RowRounding& rounding,
          std::int64_t row, std::int64_t first_call) {
  const auto calls = static_cast<int>(std::min<std::int64_t>(columns, kCallsOfColumns));
#pragma GCC ivdep
  for (int c = 0; c < calls; ++c) {
    const Philox4 bits = rounding_bits(rounding, row, first_call + c);
    for (int n = 0; n < 8; ++n) random[n * kCallsOfColumns + c] = sixteen_bits(bits[n / 2], n);
  }
}

template <class Value>
void renew(std::uint16_t* w, std::int64_t row, std::int64_t d, const RowRounding& rounding,
           Value&& value) {
  for (std::int64_t begin = 0; begin < d; begin += kColumnsOfCalls) {
    const std::int64_t columns = std::min(d - begin, kColumnsOfCalls);
    std::uint32_t random[kColumnsOfCalls];
    draw(random, columns, rounding, row, begin / kColumnsOfCalls * kCallsOfColumns);
#pragma GCC ivdep
    for (std::int64_t j = 0; j < columns; ++j) {
      const float fresh = value(begin + j, from_bf16(w[begin + j]));
      w[begin + j] = round_at_random(std::bit_cast<std::uint32_t>(fresh), random[j]);
    }
  }
}

template <class T>
void adagrad(Context& ctx, T* table, Tensor& sum_K, const Tensor& id_U, const Tensor& g_UD,
             float factor, const RowRate& rate) {
  const std::int64_t d = g_UD.dim(1);
  float* const sums = sum_K.data<float>();
  const std::int32_t* const id = id_U.data<std::int32_t>();
  const float* const gradients = g_UD.data<float>();
  const float keep = 1 - rate.rate * rate.decay;
  parallel_for(ctx, id_U.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t u = begin; u < end; ++u) {
      const float* const g = gradients + u * d;
      if (all_zeros(g, d)) continue;
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (std::int64_t j = 0; j < d; ++j) squares += (g[j] * factor) * (g[j] * factor);
      const float sum = sums[id[u]] + squares / static_cast<float>(d);
      sums[id[u]] = sum;
      const float step = rate.rate * factor / (std::sqrt(sum) + kAdagradEpsilon);
      renew(table + id[u] * d, id[u], d, rate.rounding,
            [=](std::int64_t j, float w) { return w * keep - step * g[j]; });
    }
  });
}

template <class T>
void adam(Context& ctx, T* w_all, LazyMoments& moments, const Tensor& id_U, const Tensor& g_UD,
          float factor, const AdamW& options, const RowRate& rate) {
  const std::int64_t d = g_UD.dim(1);
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
      float *const m = m_all + row * d, *const v = v_all + row * d;
      const double count = updates[row] + 1.0;
      updates[row] = static_cast<float>(count);
      const auto step = static_cast<float>(rate.rate / (1 - std::pow(double{beta1}, count)));
      const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(double{beta2}, count)));
      renew(w_all + row * d, row, d, rate.rounding, [=](std::int64_t j, float w) {
        const float gradient = g[j] * factor;
        const float first = beta1 * m[j] + (1 - beta1) * gradient;
        const float second = beta2 * v[j] + (1 - beta2) * (gradient * gradient);
        m[j] = first;
        v[j] = second;
        return w * keep - step * first / (std::sqrt(second) * root + epsilon);
      });
    }
  });
}

}  // namespace

void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  const float factor = scale_1.data<float>()[0];
  if (factor == 0) return;
  if (w_KD.dtype() == DType::bf16)
    adagrad(ctx, bf16_data(w_KD), sum_K, id_U, g_UD, factor, rate);
  else
    adagrad(ctx, w_KD.data<float>(), sum_K, id_U, g_UD, factor, rate);
}

void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate) {
  const float factor = scale_1.data<float>()[0];
  if (factor == 0) return;
  if (w_KD.dtype() == DType::bf16)
    adam(ctx, bf16_data(w_KD), moments, id_U, g_UD, factor, options, rate);
  else
    adam(ctx, w_KD.data<float>(), moments, id_U, g_UD, factor, options, rate);
}

}  // namespace seqrank::cpu
