// Binary cross-entropy on the CPU, in chunks of elements whose losses are added in order: the same
// bits at any number of threads.
#include "backend/ops/binary_cross_entropy.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/parallel.h"
#include "backend/cpu/softplus.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kChunk = 4096;

// Of n elements; unscaled. dx is written last: it may be x.
template <class Label>
double chunk(float* dx, const float* x, const Label* y, std::int64_t n, float factor) {
  double loss = softplus_sum(x, n);
  double agreement = 0;
#pragma omp simd reduction(+ : agreement)
  for (std::int64_t i = 0; i < n; ++i) agreement += static_cast<double>(x[i]) * y[i];
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i)
    dx[i] = factor * (fast_sigmoid(x[i]) - static_cast<float>(y[i]));
  return loss - agreement;
}

}  // namespace

void binary_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dlogit, const Tensor& logit,
                          const Tensor& label, float scale, const Tensor& loss_scale_1) {
  const std::int64_t n = logit.numel(), chunks = (n + kChunk - 1) / kChunk;
  const float factor = loss_scale_1 ? scale * loss_scale_1.data<float>()[0] : scale;
  float* const dx = dlogit.data<float>();
  const float* const x = logit.data<float>();
  std::vector<double> loss(chunks);
  const auto run = [&](const auto* y) {
    parallel_for(ctx, chunks, 4, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t c = first; c < last; ++c) {
        const std::int64_t at = c * kChunk;
        loss[c] = chunk(dx + at, x + at, y + at, std::min(kChunk, n - at), factor);
      }
    });
  };
  if (label.dtype() == DType::u8)
    run(label.data<std::uint8_t>());
  else
    run(label.data<float>());
  for (double part : loss) *loss_1.data<double>() += scale * part;
}

}  // namespace seqrank::cpu
