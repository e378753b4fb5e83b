// Rows summed over the events that share them. The work is shared out by events, not by rows: one
// row may have most of them.
#include "backend/ops/unique_rows.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread
}

void sum_rows(Context& ctx, Tensor& sum_UD, const Tensor& x_ND, const UniqueRows& rows) {
  const std::int64_t d = x_ND.dim(1);
  if (d == 0) return;
  float* const sums = sum_UD.data<float>();
  const float* const x = x_ND.data<float>();
  const std::int32_t* const order = rows.order_N.data<std::int32_t>();
  const auto offset_U1 = rows.offset_U1.span<std::int32_t>();
  // A piece of the events has the rows that begin in it.
  parallel_for(ctx, x_ND.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    const auto last =
        end == x_ND.dim(0) ? offset_U1.end() - 1 : std::ranges::lower_bound(offset_U1, end);
    for (auto first = std::ranges::lower_bound(offset_U1, begin); first < last; ++first) {
      float* const sum = sums + (first - offset_U1.begin()) * d;
      if (first[0] == first[1]) {
        std::fill_n(sum, d, 0.0f);
        continue;
      }
      std::memcpy(sum, x + order[first[0]] * d, static_cast<std::size_t>(d) * sizeof(float));
      for (std::int32_t i = first[0] + 1; i < first[1]; ++i) {
        const float* const added = x + order[i] * d;
#pragma GCC ivdep
        for (std::int64_t j = 0; j < d; ++j) sum[j] += added[j];
      }
    }
  });
}

}  // namespace seqrank::cpu
