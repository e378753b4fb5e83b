// What a rank's memory will hold, and whether it fits: `train --dry-run`, `train --memory`.
#pragma once

#include "backend/context.h"
#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/options.h"

namespace seqrank {

// Prints the bytes of a rank by tag, and writes them to --json. Of the device that --device
// means; a GPU need not be here. Throws Error(device) where they are more than --memory or, without
// it, than there is here: of a GPU for each rank, and of this host's memory for all ranks together.
// Names settings that would fit: the largest batch, another number of ranks, tables split,
// negatives drawn.
void tell_memory_plan(const Options& given, const Dataset& dataset);

// Collective, before anything of a run is allocated: likewise where --memory is given, of the ranks
// that there are.
void check_memory(const Options& given, const Dataset& dataset, Communicator& comm,
                  const Context& ctx);

}  // namespace seqrank
