// The order of samples as mathematics: a bijection, local, new in each epoch, fair.
#include "data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace seqrank {
namespace {

constexpr std::int64_t kGroup = kBlockSamples * kGroupBlocks;

std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t samples,
                                      std::int64_t epoch) {
  const SampleOrder order(seed, samples);
  std::vector<std::int64_t> out(static_cast<std::size_t>(samples));
  for (std::int64_t place = 0; place < samples; ++place) out[place] = order.sample_at(epoch, place);
  return out;
}

TEST(SampleOrder, IsABijectionForOddSizes) {
  for (const std::int64_t samples :
       {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, std::int64_t{5}, std::int64_t{17},
        std::int64_t{1000}, kBlockSamples - 1, kBlockSamples, kBlockSamples + 1,
        3 * kBlockSamples + 7, kGroup + 1, kGroup + kBlockSamples + 1, 2 * kGroup + 12345}) {
    for (const std::int64_t epoch : {0, 1}) {
      if (epoch > 0 && samples > kGroup) continue;
      std::vector<bool> seen(static_cast<std::size_t>(samples), false);
      for (const std::int64_t sample : epoch_order(7, samples, epoch)) {
        ASSERT_TRUE(sample >= 0 && sample < samples) << sample << " of " << samples;
        ASSERT_FALSE(seen[sample]) << sample << " twice of " << samples;
        seen[sample] = true;
      }
    }
  }
}

// A run of 64 blocks' worth of places reads from few blocks, so reads stay near-sequential.
TEST(SampleOrder, PlacesOfAGroupReadFewBlocks) {
  const std::int64_t samples = 3 * kGroup + 1000;
  const std::vector<std::int64_t> order = epoch_order(3, samples, 2);
  for (std::int64_t begin = 0; begin < samples; begin += kGroup) {
    std::vector<std::int64_t> blocks;
    for (std::int64_t place = begin; place < std::min(samples, begin + kGroup); ++place)
      blocks.push_back(order[place] / kBlockSamples);
    std::sort(blocks.begin(), blocks.end());
    blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
    // One more where the short block moved the groups' borders.
    EXPECT_LE(static_cast<std::int64_t>(blocks.size()), 2 * kGroupBlocks);
    EXPECT_GE(static_cast<std::int64_t>(blocks.size()), 1);
  }
}

TEST(SampleOrder, DiffersByEpochAndSeedAndRepeats) {
  const std::int64_t samples = 5000;
  const auto order = epoch_order(1, samples, 0);
  EXPECT_EQ(order, epoch_order(1, samples, 0));
  for (const auto& other : {epoch_order(1, samples, 1), epoch_order(2, samples, 0)}) {
    std::int64_t equal = 0;
    for (std::int64_t i = 0; i < samples; ++i) equal += order[i] == other[i];
    EXPECT_LT(equal, 20);  // one is expected of two random permutations
  }
}

// Where sample 0 lands, and what follows sample 0, are uniform over many epochs: 3 sigma at most
// off by chi-square, for sizes that leave most and least of the power of two unused.
TEST(SampleOrder, IsFairForSmallSizes) {
  for (const std::int64_t samples : {3, 8, 9, 16}) {
    constexpr int kEpochs = 4000;
    std::vector<double> at(static_cast<std::size_t>(samples)), follower = at;
    for (int epoch = 0; epoch < kEpochs; ++epoch) {
      const auto order = epoch_order(11, samples, epoch);
      const auto zero = std::find(order.begin(), order.end(), 0) - order.begin();
      ++at[zero];
      ++follower[order[(zero + 1) % samples]];
    }
    const auto chi_square = [&](const std::vector<double>& counts, std::int64_t cells) {
      double sum = 0;
      const double expected = static_cast<double>(kEpochs) / static_cast<double>(cells);
      for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
      return sum;
    };
    const double freedom = static_cast<double>(samples - 1);
    EXPECT_LT(chi_square(at, samples), freedom + 4 * std::sqrt(2 * freedom)) << samples;
    const double rest = chi_square(follower, samples - 1) - kEpochs / (samples - 1.0);
    EXPECT_LT(rest, freedom - 1 + 4 * std::sqrt(2 * freedom)) << samples;
  }
}

TEST(AssignRanks, BalancesAndCoversForAnyWorld) {
  std::vector<std::int64_t> events;
  for (std::int64_t i = 0; i < 101; ++i) events.push_back(1 + i * i % 200);
  const std::int64_t all = std::accumulate(events.begin(), events.end(), std::int64_t{0});
  for (const int world : {1, 2, 3, 8, 150}) {
    const std::vector<int> rank_of = assign_ranks(events, world);
    ASSERT_EQ(rank_of.size(), events.size());
    std::vector<std::int64_t> load(static_cast<std::size_t>(world));
    for (std::size_t i = 0; i < events.size(); ++i) {
      ASSERT_TRUE(rank_of[i] >= 0 && rank_of[i] < world);
      load[rank_of[i]] += events[i];
    }
    const auto [low, high] = std::minmax_element(load.begin(), load.end());
    if (world <= 8) {
      EXPECT_LE(*high - *low, all / world / 20) << world;
    }
    EXPECT_EQ(rank_of, assign_ranks(events, world));
  }
  EXPECT_TRUE(assign_ranks({}, 3).empty());
}

}  // namespace
}  // namespace seqrank
