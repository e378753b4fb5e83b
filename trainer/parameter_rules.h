// Which parameters a run trains, and how fast: options that speak of parameters by the pattern of
// their names. Checked when the parameters are declared, so that a pattern that fits none is a
// usage error before the first step. Does not know optimisers or ranks.
#pragma once

#include "models/nn/parameter.h"
#include "models/options.h"

namespace seqrank {

// Sets Parameter::rate from train.freeze and train.rate_scale. Throws Error(usage) for a pattern
// that fits no parameter, a factor that is no positive number, and where nothing is left to train.
void apply_parameter_rules(const Options& options, ParameterStore& parameters);

}  // namespace seqrank
