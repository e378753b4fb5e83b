// The learning-rate curve.
#include "trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace seqrank {

double Schedule::rate(std::int64_t step) const {
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / warmup_steps;
  if (kind == Kind::constant) return peak;
  const double span = static_cast<double>(std::max<std::int64_t>(1, total_steps - warmup_steps));
  const double done = std::min(1.0, static_cast<double>(step - warmup_steps) / span);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return peak * (final_share + (1 - final_share) * cosine);
}

}  // namespace seqrank
