// What a process is among the others on its machine. The only place that looks at host names and
// affinity masks of other ranks.
#pragma once

#include "collective/communicator.h"
#include "models/options.h"

namespace seqrank {

// "threads".
std::vector<OptionSpec> rank_options();

// "peer-timeout": of every command that several ranks run together.
OptionSpec peer_timeout_option();

// Compute threads of this rank: --threads, or else this process's processors divided by the ranks
// that share exactly these processors (`mpirun --bind-to none` gives all of them to every rank).
// Collective.
int rank_threads(Communicator& comm, const Options& options);

}  // namespace seqrank
