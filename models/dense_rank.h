// Counts as scores: float holds whole numbers only up to 2^24, and a ranking needs the order alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace seqrank {

// For each count, how many distinct counts are smaller: equal counts are equal scores, larger ones
// larger scores. Exact while fewer than 2^24 counts are distinct, which takes 2^47 events.
std::vector<float> dense_rank(std::span<const std::int64_t> count_V);

}  // namespace seqrank
