// Inverted dropout, a row at a time.
#include <algorithm>

#include "backend/cpu/dropout_factors.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 13;  // elements worth a thread

// One event: columns [0, d).
void dropout_row(float* y, const float* x, std::int64_t d, const DropoutFactors& factors,
                 Philox4 base) {
  for (std::int64_t begin = 0; begin < d; begin += DropoutFactors::kCount) {
    float factor[DropoutFactors::kCount];
    factors.write(factor, base);
    base[3] += DropoutFactors::kCounters;
    const std::int64_t columns = std::min<std::int64_t>(DropoutFactors::kCount, d - begin);
#pragma GCC ivdep
    for (std::int64_t j = 0; j < columns; ++j) y[begin + j] = x[begin + j] * factor[j];
  }
}

}  // namespace

void dropout(Context& ctx, Tensor& y_ND, const Tensor& x_ND, const DropoutKey& key,
             const Tensor& place_B, const Tensor& offset_B1) {
  const std::int64_t n_events = x_ND.dim(0), d = x_ND.dim(1), sequences = place_B.dim(0);
  if (n_events == 0 || d == 0) return;
  float* y = y_ND.data<float>();
  const float* x = x_ND.data<float>();
  const std::int64_t* place = place_B.data<std::int64_t>();
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const DropoutFactors factors(key, Purpose::dropout);
  const std::uint32_t layer = key.layer;
  parallel_for(ctx, n_events, kGrain / d + 1, [=](std::int64_t begin, std::int64_t end) {
    // The last sequence that starts at or before `begin`: empty ones before it are passed over.
    std::int64_t b = std::upper_bound(offset, offset + sequences + 1, begin) - offset - 1;
    for (std::int64_t n = begin; n < end; ++n) {
      while (offset[b + 1] <= n) ++b;
      const auto at = static_cast<std::uint64_t>(place[b]);
      const Philox4 base = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
                            static_cast<std::uint32_t>(n - offset[b]), layer << 24};
      dropout_row(y + n * d, x + n * d, d, factors, base);
    }
  });
}

}  // namespace seqrank::cpu
