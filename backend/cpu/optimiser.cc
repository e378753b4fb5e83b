// AdamW in one pass over memory, and the norm that decides its scale.
#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread
constexpr std::int64_t kChunk = 1 << 12;  // elements summed as one, whatever the threads
}  // namespace

void add_squared_norm(Context& ctx, Tensor& sum_1, const Tensor& x_in) {
  const std::int64_t n = x_in.numel();
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  Tensor sums_C = ctx.empty(DType::f64, {chunks}, Tag::workspace);
  double* sums = sums_C.data<double>();
  const float* x = x_in.data<float>();
  parallel_for(ctx, chunks, kGrain / kChunk, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      const std::int64_t last = std::min(n, (chunk + 1) * kChunk);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = chunk * kChunk; i < last; ++i)
        sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      sums[chunk] = sum;
    }
  });
  double total = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
  sum_1.data<double>()[0] += total;
}

void clip_scale(Context&, Tensor& scale_1, const Tensor& squared_norm_1, float clip) {
  const double squared = squared_norm_1.data<double>()[0];
  float scale = 1;
  if (!std::isfinite(squared))
    scale = 0;
  else if (clip > 0)
    scale = static_cast<float>(std::min(1.0, clip / std::sqrt(squared)));
  scale_1.data<float>()[0] = scale;
}

void adamw(Context& ctx, Tensor& w_out, Tensor& m_out, Tensor& v_out, const Tensor& g_in,
           const Tensor& scale_1, const AdamW& options, float rate, const UpdateParts& parts,
           std::int64_t updates) {
  const float factor = scale_1.data<float>()[0];
  if (factor == 0) return;
  float* w = w_out.data<float>();
  float* m = m_out.data<float>();
  float* v = v_out.data<float>();
  const float* g = g_in.data<float>();
  const float beta1 = options.beta1, beta2 = options.beta2, epsilon = options.epsilon;
  // m and v start as zeros; dividing by what they have seen of the average removes that bias.
  const double steps = static_cast<double>(updates);
  const float step = static_cast<float>(rate / (1 - std::pow(double{beta1}, steps)));
  const float root = static_cast<float>(1 / std::sqrt(1 - std::pow(double{beta2}, steps)));
  const float* decays = parts.decay_S.data<float>();
  const float* rates = parts.rate_S.data<float>();
  const auto ends = parts.end_S.span<std::int64_t>();
  parallel_for(ctx, w_out.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    auto part = std::ranges::upper_bound(ends, begin);
    for (std::int64_t from = begin; from < end; ++part) {
      const auto s = part - ends.begin();
      const float keep = static_cast<float>(1 - double{rate} * rates[s] * decays[s]);
      const float own_step = step * rates[s];
      const std::int64_t to = std::min(end, *part);
#pragma GCC ivdep
      for (std::int64_t i = from; i < to; ++i) {
        const float gradient = g[i] * factor;
        const float first = beta1 * m[i] + (1 - beta1) * gradient;
        const float second = beta2 * v[i] + (1 - beta2) * (gradient * gradient);
        m[i] = first;
        v[i] = second;
        w[i] = w[i] * keep - own_step * first / (std::sqrt(second) * root + epsilon);
      }
      from = to;
    }
  });
}

}  // namespace seqrank::cpu
