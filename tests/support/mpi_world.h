// GoogleTest under mpirun: link mpi_main.cc instead of gtest_main, and take the ranks from here.
// Every rank runs the same tests; the first that fails on any rank is printed with its rank and
// ends them all, so that nobody waits for a rank that left a test early.
#pragma once

#include "collective/communicator.h"

namespace seqrank {

Communicator& mpi_world();

}  // namespace seqrank
