// The suite over MPI; one world for all tests of the process. Started by mpirun, or alone.
#include "collective/mpi.h"

#include "tests/collective/communicator_suite.h"
#include "tests/support/mpi_world.h"

namespace seqrank {
namespace {

struct Mpi {
  static void run(const std::function<void(SuiteRanks)>& body) {
    Context ctx(Device::cpu, 1);
    body({mpi_world(), ctx});
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Mpi, CommunicatorSuite, Mpi);
INSTANTIATE_TYPED_TEST_SUITE_P(Mpi, HostCommunicatorSuite, Mpi);

TEST(MpiCommunicator, IsMadeOnceAProcess) {
  EXPECT_THROW(make_mpi_communicator(), Error);
}

}  // namespace
}  // namespace seqrank
