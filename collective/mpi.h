// Ranks as MPI processes. Every MPI call, MPI_Init and MPI_Finalize too, is made by one worker
// thread (MPI_THREAD_SERIALIZED). No MPI header is needed to include this.
#pragma once

#include "collective/communicator.h"

namespace seqrank {

// Initialises MPI (once a process) and gives the world. The last communicator alive must be this
// one; its destruction finalises MPI. Works without mpirun as a world of one.
std::unique_ptr<Communicator> make_mpi_communicator();

}  // namespace seqrank
