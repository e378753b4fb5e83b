// Factors of inverted dropout, 64 at a time: Philox runs on many counters side by side in a loop
// that the compiler vectorises, equal word for word to philox() in backend/philox.h. What the
// counters mean is the operator's to say.
#pragma once

#include <cmath>
#include <cstdint>

#include "backend/ops/dropout.h"
#include "backend/philox.h"

namespace seqrank::cpu {

class DropoutFactors {
 public:
  static constexpr int kCounters = 16;
  static constexpr int kCount = 4 * kCounters;

  DropoutFactors(const DropoutKey& key, Purpose purpose)
      : seed_(key.seed),
        purpose_(purpose),
        // uniform_float(word) >= rate, as a comparison of integers.
        threshold_(static_cast<std::uint32_t>(std::ceil(double{key.rate} * 0x1p24))),
        kept_(1.0f / (1.0f - key.rate)) {}

  // factor[4 g + l]: of word l of counter {base[0], base[1], base[2], base[3] + g}.
  void write(float (&factor)[kCount], const Philox4& base) const {
    std::uint32_t word[4][kCounters];
    for (int g = 0; g < kCounters; ++g) {
      const Philox4 words = philox(
          seed_, purpose_, {base[0], base[1], base[2], base[3] + static_cast<std::uint32_t>(g)});
      for (int l = 0; l < 4; ++l) word[l][g] = words[l];
    }
    for (int g = 0; g < kCounters; ++g)
      for (int l = 0; l < 4; ++l)
        factor[4 * g + l] = (word[l][g] >> 8) >= threshold_ ? kept_ : 0.0f;
  }

 private:
  std::uint64_t seed_;
  Purpose purpose_;
  std::uint32_t threshold_;
  float kept_;
};

}  // namespace seqrank::cpu
