// Columns that are too low are filled up by what others have too much of, one for each.
#include "data/alias_table.h"

#include <numeric>

#include "backend/check.h"

namespace seqrank {

AliasTable::AliasTable(std::span<const double> weights)
    : own_share_(weights.size(), 1), other_(weights.size()) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  SR_ASSERT(sum > 0, "weights of sum {}", sum);
  std::vector<double> height;
  height.reserve(weights.size());
  for (double weight : weights)
    height.push_back(weight / sum * static_cast<double>(weights.size()));
  std::vector<std::int32_t> low, high;
  for (std::size_t v = 0; v < weights.size(); ++v)
    (height[v] < 1 ? low : high).push_back(static_cast<std::int32_t>(v));
  // What is left over when one of the two has ended is full but for rounding.
  while (!low.empty() && !high.empty()) {
    const std::int32_t filled = low.back(), giver = high.back();
    low.pop_back();
    own_share_[filled] = static_cast<float>(height[filled]);
    other_[filled] = giver;
    height[giver] -= 1 - height[filled];
    if (height[giver] >= 1) continue;
    high.pop_back();
    low.push_back(giver);
  }
}

}  // namespace seqrank
