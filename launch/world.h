// How the ranks of a command find each other: by MPI, or over TCP where the launcher knows no MPI.
#pragma once

#include <memory>
#include <vector>

#include "collective/communicator.h"
#include "models/options.h"

namespace seqrank {

// "peer-timeout", "rendezvous", "rendezvous-file": of every command that several ranks run
// together.
std::vector<OptionSpec> world_options();

bool meets_by_mpi(const Options& options);

// All ranks, of which this process is one. Collective. Where they do not meet by MPI, RANK and
// WORLD_SIZE in the environment say which one, and of how many.
std::unique_ptr<Communicator> make_world(const Options& options);

}  // namespace seqrank
