// Ranks as threads of one process: how tests run several ranks under ThreadSanitizer.
#pragma once

#include <functional>

#include "collective/communicator.h"

namespace seqrank {

// Runs body(communicator) on `ranks` threads, each with one OpenMP thread, and returns when all
// have ended. If one throws, the others' collectives fail with Error(peers) naming that rank, and
// the first error is rethrown here.
void with_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace seqrank
