// Row normalisation on the CPU; sums in double, rows over threads.
#include "backend/ops/l2_normalise.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kRowsPerThread = 64;
constexpr float kLeastNorm = 1e-12f;

double dot(const float* a, const float* b, std::int64_t width) {
  double sum = 0;
  for (std::int64_t d = 0; d < width; ++d) sum += static_cast<double>(a[d]) * b[d];
  return sum;
}

}  // namespace

void l2_normalise(Context& ctx, Tensor& y_ND, Tensor& norm_N, const Tensor& x_ND) {
  const std::int64_t width = x_ND.dim(1);
  float* y = y_ND.data<float>();
  float* norm = norm_N.data<float>();
  const float* x = x_ND.data<float>();
  parallel_for(ctx, x_ND.dim(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const float* row = x + n * width;
      norm[n] = std::max(kLeastNorm, static_cast<float>(std::sqrt(dot(row, row, width))));
      for (std::int64_t d = 0; d < width; ++d) y[n * width + d] = row[d] / norm[n];
    }
  });
}

void l2_normalise_backward(Context& ctx, Tensor& dx_ND, const Tensor& dy_ND, const Tensor& y_ND,
                           const Tensor& norm_N) {
  const std::int64_t width = y_ND.dim(1);
  float* dx = dx_ND.data<float>();
  const float* dy = dy_ND.data<float>();
  const float* y = y_ND.data<float>();
  const float* norm = norm_N.data<float>();
  parallel_for(ctx, y_ND.dim(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int64_t row = n * width;
      if (norm[n] == kLeastNorm) {
        std::fill_n(dx + row, width, 0.0f);
        continue;
      }
      const float along = static_cast<float>(dot(dy + row, y + row, width));
      for (std::int64_t d = 0; d < width; ++d)
        dx[row + d] = (dy[row + d] - y[row + d] * along) / norm[n];
    }
  });
}

}  // namespace seqrank::cpu
