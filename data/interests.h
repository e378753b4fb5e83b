// Groups items into interests: items whose people are the same. Singular vectors of who has what,
// then k-means on them. Deterministic: the same events and seed give the same groups. In memory:
// see interest_bytes(). Knows no files and no split: the caller gives the events that may be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace seqrank {

struct InterestOptions {
  std::int64_t interests = 16;  // k
  std::int64_t width = 32;      // singular vectors
  std::uint64_t seed = 1;
};

// An upper bound of what finding interests takes, with the events it is given.
std::size_t interest_bytes(std::int64_t sequences, std::int64_t events, std::size_t items,
                           const InterestOptions& options = {});

// The interest of each item, in [0, k). Sequence s has the events item_E[offset_S1[s]] up to
// item_E[offset_S1[s + 1]]. The matrix is that of sequences by items, an entry 1 / sqrt(items of
// the sequence * sequences of the item) where the sequence has the item, so that its square is the
// normalised co-occurrence of items. Items without events share the interest of nobody's taste:
// they go where the zero vector goes.
std::vector<std::int32_t> find_interests(std::span<const std::int64_t> offset_S1,
                                         std::span<const std::int32_t> item_E, std::int64_t items,
                                         const InterestOptions& options);

}  // namespace seqrank
