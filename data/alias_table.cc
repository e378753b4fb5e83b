// Columns that are too low are filled up by what others have too much of, one for each.
#include "data/alias_table.h"

#include <algorithm>
#include <numeric>

namespace seqrank {

AliasTable::AliasTable(Arena& arena, std::vector<double> weights)
    : own_share_V_(arena, DType::f32, {std::ssize(weights)}, Tag::batch),
      other_V_(arena, DType::i32, {std::ssize(weights)}, Tag::batch) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  SR_ASSERT(sum > 0, "weights of sum {}", sum);
  const auto n = static_cast<double>(weights.size());
  std::vector<double>& height = weights;
  for (double& weight : height) weight = weight / sum * n;
  const auto own_share = own_share_V_.span<float>();
  const auto other = other_V_.span<std::int32_t>();
  std::ranges::fill(own_share, 1.0f);
  std::ranges::fill(other, 0);
  // Two stacks in one block: low columns [0, low), high ones [high, n), each with its top inside.
  std::vector<std::int32_t> column(height.size());
  std::size_t low = 0, high = column.size();
  for (std::size_t v = 0; v < height.size(); ++v)
    column[height[v] < 1 ? low++ : --high] = static_cast<std::int32_t>(v);
  // What is left over when one of the two has ended is full but for rounding.
  while (low > 0 && high < column.size()) {
    const std::int32_t filled = column[--low], giver = column[high];
    own_share[filled] = static_cast<float>(height[filled]);
    other[filled] = giver;
    height[giver] -= 1 - height[filled];
    if (height[giver] >= 1) continue;
    ++high;
    column[low++] = giver;
  }
}

}  // namespace seqrank
