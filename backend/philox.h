// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC 2011). A number depends on its key and counter alone, so dropout
// and shuffles are the same at any number of ranks, on any device, and after any restart. All is
// constexpr so that kernels may call it.
#pragma once

#include <array>
#include <cstdint>

namespace seqrank {

// What the numbers are for; part of the key, so that no two uses share a sequence.
enum class Purpose : std::uint32_t {
  initialise = 1,
  shuffle_blocks = 2,
  shuffle_samples = 3,
  dropout = 4,
  synth = 5,
  attention_dropout = 6,
  gumbel = 7,
  masking = 8,
  interests = 9,
  negatives = 10,
  rounding = 11,
};

using Philox4 = std::array<std::uint32_t, 4>;

constexpr Philox4 philox(std::uint64_t seed, Purpose purpose, Philox4 counter) {
  // The 64-bit key: the seed's halves, the purpose mixed into the upper one.
  std::uint32_t k0 = static_cast<std::uint32_t>(seed);
  std::uint32_t k1 =
      static_cast<std::uint32_t>(seed >> 32) ^ (static_cast<std::uint32_t>(purpose) * 0x85EBCA6Bu);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// [0, 1), 24 bits: exact in fp32.
constexpr float uniform_float(std::uint32_t bits) {
  return (bits >> 8) * 0x1p-24f;
}
// [0, 1), 53 bits.
constexpr double uniform_double(std::uint32_t high, std::uint32_t low) {
  return ((std::uint64_t{high} << 21) ^ (low >> 11)) * 0x1p-53;
}

}  // namespace seqrank
