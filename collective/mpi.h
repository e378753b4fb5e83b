// Ranks as MPI processes. Every MPI call, MPI_Init and MPI_Finalize too, is made by one worker
// thread (MPI_THREAD_SERIALIZED); only abort() calls MPI_Abort from where it is. No MPI header is
// needed to include this.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "collective/communicator.h"

namespace seqrank {

// The same on all ranks. The defaults suit real use, tests take small ones to reach every path.
struct MpiLimits {
  std::int64_t message_bytes = 1 << 19;  // of a reduction or gather; see README.md
  std::int64_t direct_bytes = 1 << 15;   // largest all_reduce that all send to all at once
  std::int64_t most_elements = std::numeric_limits<int>::max();  // MPI 3 counts in int
  double patience = 0;  // seconds without progress after which a call throws; 0 = waits for ever
};

// Initialises MPI (once a process) and gives the world. The last communicator alive must be this
// one; its destruction finalises MPI, or, when an error unwinds it, ends every rank with exit code
// 5: to give another code and a message, catch the error while it lives and call abort(). Works
// without mpirun as a world of one.
std::unique_ptr<Communicator> make_mpi_communicator(MpiLimits limits = {});

// The library that runs, "Open MPI v4.1.4"; may be asked at any time.
std::string mpi_library_version();

}  // namespace seqrank
