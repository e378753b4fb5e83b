// A search among the numbers kept, then at most 64 steps.
#include "data/sequence_counts.h"

#include <algorithm>

#include "backend/check.h"

namespace seqrank {

constexpr std::int64_t kStride = 64;

SequenceCounts::SequenceCounts(std::int64_t sequences,
                               std::function<std::int64_t(std::int64_t)> count_of)
    : count_of_(std::move(count_of)) {
  std::int64_t things = 0;
  for (std::int64_t s = 0; s < sequences; ++s) {
    if (s % kStride == 0) before_.push_back(things);
    things += count_of_(s);
  }
  before_.push_back(things);
}

SequenceCounts::Place SequenceCounts::at(std::int64_t thing) const {
  SR_ASSERT(thing >= 0 && thing < count(), "number {} of {}", thing, count());
  const auto after = std::upper_bound(before_.begin(), before_.end(), thing);
  std::int64_t sequence = (after - before_.begin() - 1) * kStride;
  std::int64_t inside = thing - *(after - 1);
  std::int64_t here = 0;
  for (; inside >= (here = count_of_(sequence)); ++sequence) inside -= here;
  return {sequence, inside, here};
}

std::int64_t SequenceCounts::before(std::int64_t sequence) const {
  std::int64_t things = before_[sequence / kStride];
  for (std::int64_t s = sequence - sequence % kStride; s < sequence; ++s) things += count_of_(s);
  return things;
}

}  // namespace seqrank
