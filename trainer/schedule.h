// Learning rate by step: linear warm-up, then constant, or a half cosine down to a share of the
// peak.
#pragma once

#include <cstdint>

namespace seqrank {

struct Schedule {
  enum class Kind { constant, cosine } kind = Kind::constant;
  double peak = 1e-3;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 1;
  double final_share = 0;  // of the peak, where the cosine ends

  // step counts from 0; the first step of a warm-up has rate peak / warmup_steps.
  double rate(std::int64_t step) const;
};

}  // namespace seqrank
