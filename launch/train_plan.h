// `train --dry-run`: what a rank's memory will hold, and whether it fits.
#pragma once

#include "data/dataset.h"
#include "models/options.h"

namespace seqrank {

// Prints the bytes of a rank by tag, and writes them to --json. Throws Error(device) where they are
// more than --memory, naming the largest batch and the smallest number of ranks that would fit.
void tell_memory_plan(const Options& given, const Dataset& dataset);

}  // namespace seqrank
