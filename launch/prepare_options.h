// What can be said to seqrank prepare, and what it means for data/prepare.
#pragma once

#include <vector>

#include "data/prepare.h"
#include "models/options.h"

namespace seqrank {

std::vector<OptionSpec> prepare_option_specs();
// Throws Error(usage).
PrepareOptions prepare_options(const Options& given);

}  // namespace seqrank
