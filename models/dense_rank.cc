// See dense_rank.h.
#include "models/dense_rank.h"

#include <algorithm>

namespace seqrank {

std::vector<float> dense_rank(std::span<const std::int64_t> count_V) {
  std::vector<std::int64_t> distinct(count_V.begin(), count_V.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<float> rank_V(count_V.size());
  for (std::size_t v = 0; v < count_V.size(); ++v)
    rank_V[v] = static_cast<float>(std::lower_bound(distinct.begin(), distinct.end(), count_V[v]) -
                                   distinct.begin());
  return rank_V;
}

}  // namespace seqrank
