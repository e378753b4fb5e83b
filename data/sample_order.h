// Who reads what, as pure functions of integers (no communicator, no state).
// A *sample* is a window of one sequence. The order of an epoch's samples is a function of
// (seed, epoch): blocks of 4,096 neighbouring samples are permuted, then the samples inside groups
// of 64 blocks, both by counter-based shuffling. Reads stay near-sequential, and the position in
// the data is one integer that does not depend on the number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace seqrank {

inline constexpr std::int64_t kBlockSamples = 4096;
inline constexpr std::int64_t kGroupBlocks = 64;

class SampleOrder {
 public:
  SampleOrder(std::uint64_t seed, std::int64_t samples) : seed_(seed), samples_(samples) {}
  // The sample at `place` (in [0, samples)) of the order of `epoch`; a bijection for each epoch.
  std::int64_t sample_at(std::int64_t epoch, std::int64_t place) const;

 private:
  std::uint64_t seed_;
  std::int64_t samples_;
};

// Splits a global batch over ranks: entry i is the rank of sample i, given each sample's events.
// Work (events) is balanced greedily, longest first; deterministic.
std::vector<int> assign_ranks(std::span<const std::int64_t> events, int ranks);

}  // namespace seqrank
