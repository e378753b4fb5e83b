// Permutations are Feistel networks over the smallest power of two, walked until they land inside
// the range: a few Philox calls a look-up and no memory, whatever the number of samples.
#include "data/sample_order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <queue>
#include <utility>

#include "backend/check.h"
#include "backend/philox.h"

namespace seqrank {
namespace {

// A permutation of [0, size), keyed by (seed, purpose, epoch, group).
class Permutation {
 public:
  Permutation(std::uint64_t seed, Purpose purpose, std::int64_t epoch, std::int64_t group,
              std::int64_t size)
      : size_(static_cast<std::uint64_t>(size)) {
    const Philox4 words =
        philox(seed, purpose,
               {static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32),
                static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32)});
    keys_ = {std::uint64_t{words[0]} << 32 | words[1], std::uint64_t{words[2]} << 32 | words[3]};
    // At least one bit each half, so that every round can change something.
    const int bits = std::max(2, static_cast<int>(std::bit_width(size_ - 1)));
    low_bits_ = bits / 2;
    low_mask_ = (std::uint64_t{1} << low_bits_) - 1;
    high_mask_ = (std::uint64_t{1} << (bits - low_bits_)) - 1;
  }

  std::int64_t apply(std::int64_t place) const {
    return walk(place, [this](std::uint64_t& low, std::uint64_t& high) {
      for (std::uint32_t r = 0; r < kRounds; ++r) round(r, low, high);
    });
  }
  std::int64_t invert(std::int64_t image) const {
    return walk(image, [this](std::uint64_t& low, std::uint64_t& high) {
      for (std::uint32_t r = kRounds; r-- > 0;) round(r, low, high);
    });
  }

 private:
  static constexpr std::uint32_t kRounds = 8;

  // Each round is its own inverse: one half is changed by a function of the other.
  void round(std::uint32_t r, std::uint64_t& low, std::uint64_t& high) const {
    if (r % 2 == 0) {
      high ^= mixed(low, r) & high_mask_;
    } else {
      low ^= mixed(high, r) & low_mask_;
    }
  }

  // The finaliser of SplitMix64, keyed before and between its multiplications.
  std::uint64_t mixed(std::uint64_t value, std::uint32_t r) const {
    value += keys_[0] + r * 0x9E3779B97F4A7C15u;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u + keys_[1];
    value = (value ^ value >> 27) * 0x94D049BB133111EBu;
    return value ^ value >> 31;
  }

  template <class Rounds>
  std::int64_t walk(std::int64_t from, Rounds rounds) const {
    auto value = static_cast<std::uint64_t>(from);
    if (size_ < 2) return from;
    do {
      std::uint64_t low = value & low_mask_, high = value >> low_bits_;
      rounds(low, high);
      value = high << low_bits_ | low;
    } while (value >= size_);
    return static_cast<std::int64_t>(value);
  }

  std::uint64_t size_;
  std::array<std::uint64_t, 2> keys_;
  int low_bits_;
  std::uint64_t low_mask_, high_mask_;
};

}  // namespace

std::int64_t SampleOrder::sample_at(std::int64_t epoch, std::int64_t place) const {
  SR_ASSERT(place >= 0 && place < samples_, "place {} of {}", place, samples_);
  constexpr std::int64_t kGroupSamples = kBlockSamples * kGroupBlocks;
  const std::int64_t blocks = (samples_ + kBlockSamples - 1) / kBlockSamples;
  const std::int64_t missing = blocks * kBlockSamples - samples_;  // of the last block
  const Permutation block_order(seed_, Purpose::shuffle_blocks, epoch, 0, blocks);

  // Groups are equally large but for the one that the short block falls into (and the last).
  const std::int64_t short_slot = block_order.invert(blocks - 1);
  const std::int64_t short_group = short_slot / kGroupBlocks;
  const std::int64_t short_end = (short_group + 1) * kGroupSamples - missing;
  const std::int64_t group = (place < short_end ? place : place + missing) / kGroupSamples;
  const std::int64_t group_begin = group * kGroupSamples - (group > short_group ? missing : 0);
  const std::int64_t group_blocks = std::min(kGroupBlocks, blocks - group * kGroupBlocks);
  const std::int64_t group_size =
      group_blocks * kBlockSamples - (group == short_group ? missing : 0);

  const Permutation inside(seed_, Purpose::shuffle_samples, epoch, group, group_size);
  std::int64_t at = inside.apply(place - group_begin);
  // Positions after the short block's are moved up, as if it were whole.
  const std::int64_t short_block_end = (short_slot % kGroupBlocks + 1) * kBlockSamples - missing;
  if (group == short_group && at >= short_block_end) at += missing;
  const std::int64_t block = block_order.apply(group * kGroupBlocks + at / kBlockSamples);
  return block * kBlockSamples + at % kBlockSamples;
}

std::vector<int> assign_ranks(std::span<const std::int64_t> events, int ranks) {
  std::vector<std::size_t> by_length(events.size());
  std::iota(by_length.begin(), by_length.end(), std::size_t{0});
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](std::size_t a, std::size_t b) { return events[a] > events[b]; });
  // The rank with the least work; among equals the lowest.
  using Load = std::pair<std::int64_t, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int rank = 0; rank < ranks; ++rank) loads.emplace(0, rank);
  std::vector<int> rank_of(events.size());
  for (const std::size_t sample : by_length) {
    const auto [load, rank] = loads.top();
    loads.pop();
    rank_of[sample] = rank;
    loads.emplace(load + events[sample], rank);
  }
  return rank_of;
}

}  // namespace seqrank
