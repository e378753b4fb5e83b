// Philox 4x32-10 against the known answers of Random123 (kat_vectors), and the conversions.
#include "backend/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace seqrank {
namespace {

// The key word that `purpose` changes, undone, so that the published keys can be put in.
std::uint64_t seed_for_key(std::uint32_t k0, std::uint32_t k1, Purpose purpose) {
  const std::uint32_t high = k1 ^ (static_cast<std::uint32_t>(purpose) * 0x85EBCA6Bu);
  return std::uint64_t{high} << 32 | k0;
}

TEST(Philox, KnownAnswers) {
  struct Row {
    Philox4 counter;
    std::uint32_t k0, k1;
    Philox4 words;
  };
  const Row rows[] = {
      {{0, 0, 0, 0}, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       0xffffffff,
       0xffffffff,
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       0xa4093822,
       0x299f31d0,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Row& row : rows)
    for (Purpose purpose : {Purpose::dropout, Purpose::synth})
      EXPECT_EQ(philox(seed_for_key(row.k0, row.k1, purpose), purpose, row.counter), row.words);
}

TEST(Philox, PurposesAndCountersDiffer) {
  std::set<Philox4> seen;
  for (Purpose purpose : {Purpose::initialise, Purpose::shuffle_blocks, Purpose::shuffle_samples,
                          Purpose::dropout, Purpose::synth})
    for (std::uint32_t i = 0; i < 100; ++i) seen.insert(philox(7, purpose, {i, 0, 0, 0}));
  EXPECT_EQ(seen.size(), 500u);
}

TEST(Philox, UniformStaysBelowOne) {
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_LT(uniform_float(0xffffffffu), 1.0f);
  EXPECT_EQ(uniform_float(0x80000000u), 0.5f);
  EXPECT_EQ(uniform_double(0, 0), 0.0);
  EXPECT_LT(uniform_double(0xffffffffu, 0xffffffffu), 1.0);
  EXPECT_EQ(uniform_double(0x80000000u, 0), 0.5);
}

TEST(Philox, UniformHasTheRightMean) {
  double sum = 0;
  const int n = 100000;
  for (std::uint32_t i = 0; i < n; ++i)
    sum += uniform_float(philox(1, Purpose::synth, {i, 1, 2, 3})[i % 4]);
  EXPECT_NEAR(sum / n, 0.5, 5 / std::sqrt(12.0 * n));  // five standard deviations
}

}  // namespace
}  // namespace seqrank
