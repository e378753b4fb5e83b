// What a call of `train` may say, which `doctor` takes word for word, so that the one command line
// serves both.
#pragma once

#include <vector>

#include "models/options.h"

namespace seqrank {

std::vector<OptionSpec> train_call_options();

// Those of the run alone: saved with it, and the same when it is resumed. What is left out is about
// one call.
Options options_of_run(const Options& call);

}  // namespace seqrank
