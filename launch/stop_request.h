// What asks a run to save and stop from outside the run folder: a signal, or the end of the time it
// was given. Only asks; the step loop acts. (The file STOP is the trainer's part.)
#pragma once

#include <vector>

#include "models/options.h"
#include "trainer/train.h"

namespace seqrank {

// "stop-at", "stop-margin".
std::vector<OptionSpec> stop_options();

// The end time is --stop-at, else Slurm's.
StopSource stop_source(const Options& options);

}  // namespace seqrank
