// Inverted dropout. Philox runs on many counters side by side: a loop over column groups that the
// compiler vectorises, equal word for word to philox() in backend/philox.h.
#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/philox.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 13;  // elements worth a thread
constexpr int kGroups = 16;               // counters side by side, four columns each

// The four words of counters {base0, base1, base2, base3 + g}, g < kGroups.
struct Words {
  std::uint32_t word[4][kGroups];
};

void philox_groups(Words& out, const DropoutKey& key, const Philox4& base) {
  for (int g = 0; g < kGroups; ++g) {
    const Philox4 words =
        philox(key.seed, Purpose::dropout,
               {base[0], base[1], base[2], base[3] + static_cast<std::uint32_t>(g)});
    for (int l = 0; l < 4; ++l) out.word[l][g] = words[l];
  }
}

// One event: columns [0, d).
void dropout_row(float* y, const float* x, std::int64_t d, const DropoutKey& key, Philox4 base,
                 std::uint32_t threshold, float factor) {
  Words words;
  for (std::int64_t begin = 0; begin < d; begin += 4 * kGroups) {
    philox_groups(words, key, base);
    base[3] += kGroups;
    float mask[4 * kGroups];
    for (int g = 0; g < kGroups; ++g)
      for (int l = 0; l < 4; ++l)
        mask[4 * g + l] = (words.word[l][g] >> 8) >= threshold ? factor : 0.0f;
    const std::int64_t columns = std::min<std::int64_t>(4 * kGroups, d - begin);
#pragma GCC ivdep
    for (std::int64_t j = 0; j < columns; ++j) y[begin + j] = x[begin + j] * mask[j];
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
  // uniform_float(word) >= rate, as a comparison of integers.
  const auto threshold = static_cast<std::uint32_t>(std::ceil(double{key.rate} * 0x1p24));
  const float factor = 1.0f / (1.0f - key.rate);
  parallel_for(ctx, n_events, kGrain / d + 1, [=](std::int64_t begin, std::int64_t end) {
    // The last sequence that starts at or before `begin`: empty ones before it are passed over.
    std::int64_t b = std::upper_bound(offset, offset + sequences + 1, begin) - offset - 1;
    for (std::int64_t n = begin; n < end; ++n) {
      while (offset[b + 1] <= n) ++b;
      const auto at = static_cast<std::uint64_t>(place[b]);
      const Philox4 base = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
                            static_cast<std::uint32_t>(n - offset[b]), key.layer << 24};
      dropout_row(y + n * d, x + n * d, d, key, base, threshold, factor);
    }
  });
}

}  // namespace seqrank::cpu
