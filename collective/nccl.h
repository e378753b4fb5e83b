// Tensors of CUDA devices exchanged by NCCL, one rank a GPU. No header of CUDA's or NCCL's is
// needed to include this. In a program built without them, nccl_absent.cc takes the place of
// nccl.cc.
#pragma once

#include <memory>
#include <string>

#include "collective/communicator.h"

namespace seqrank {

// Collective. Of the ranks of `host`, each with the device `ordinal` of its process; `host` must
// outlive it. Its stream() is one of the device's, apart from every other. Calls return when they
// are enqueued; a tensor is kept until its call is done, and waiting for the event of a call is all
// that has to be done before the result is used, or written over, by another stream.
//
// patience: seconds without progress after which one line says in which call, and every rank ends
// as by host.abort(); 0 = never. In Debug builds the ranks compare their calls through `host`
// first. While a CUDA graph is captured, the capture must be of its own thread (thread-local mode):
// another one asks for events.
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, int ordinal,
                                                     double patience = 0);

std::string nccl_library_version();  // "2.28.9"; "" in a program built without it

}  // namespace seqrank
