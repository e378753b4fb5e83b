// The options "loss.*": what they mean, and which go together. Knows no table and no tape.
#pragma once

#include <optional>
#include <vector>

#include "backend/ops/sampled_loss.h"
#include "data/batch.h"
#include "models/options.h"

namespace seqrank {

struct LossChoice {
  std::optional<SampledLossOptions> sampled;  // absent: the exact softmax
  NegativeNeeds negatives;
  bool log_q = false;  // of the negatives, subtracted
};

std::vector<OptionSpec> loss_options();
// Throws Error(usage) where an option is set that the loss does not read. `options` declares
// model.temperature and model.label_smoothing too; items: of the catalogue.
LossChoice loss_choice(const Options& options, std::int64_t items);

}  // namespace seqrank
