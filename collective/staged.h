// Tensors of a CUDA device exchanged by way of the host: copied into pinned memory, exchanged by
// the host's transport, copied back, all by the host communicator's thread. Nothing overlaps but
// what other streams do meanwhile. NCCL refuses two ranks on one GPU: this is how one GPU, or the
// emulated device, has many ranks.
#pragma once

#include <memory>

#include "backend/context.h"
#include "collective/communicator.h"

namespace seqrank {

// Collective. Of the ranks of `host`, whose stream() it shares: its calls and the host's run in the
// order in which they are made. `ctx`, of a CUDA device, must outlive it.
std::unique_ptr<Communicator> make_staged_communicator(Communicator& host, Context& ctx);

}  // namespace seqrank
