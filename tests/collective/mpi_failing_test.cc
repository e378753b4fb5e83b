// A test that fails on rank 1 alone and leaves rank 0 in a barrier: what mpi_main.cc must survive.
// Run by a test that expects it to fail.
#include <gtest/gtest.h>

#include "tests/support/mpi_world.h"

namespace seqrank {
namespace {

TEST(FailingTest, LeavesOneRankWaiting) {
  ASSERT_NE(mpi_world().rank(), 1);
  mpi_world().barrier();
}

}  // namespace
}  // namespace seqrank
