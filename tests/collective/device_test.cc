// The suite over tensors of CUDA devices, ranks as threads: staged through the host, all on one
// device; and by NCCL, each on its own. Skipped where there are not enough devices.
#include <gtest/gtest.h>

#include "backend/device.h"
#include "collective/nccl.h"
#include "collective/staged.h"
#include "collective/thread.h"
#include "tests/collective/communicator_suite.h"

namespace seqrank {
namespace {

template <int kRanks>
struct Staged {
  static void run(const std::function<void(SuiteRanks)>& body) {
    if (cuda_devices() == 0) GTEST_SKIP() << why_no_cuda();
    with_ranks(kRanks, [&](Communicator& host) {
      Context ctx(Device::cuda, 1);
      const auto comm = make_staged_communicator(host, ctx);
      body({*comm, ctx});
    });
  }
};

using StagedWorlds = testing::Types<Staged<1>, Staged<2>, Staged<3>, Staged<4>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Staged, CommunicatorSuite, StagedWorlds);

template <int kRanks>
struct Nccl {
  static void run(const std::function<void(SuiteRanks)>& body) {
    if (cuda_devices() == 0) GTEST_SKIP() << why_no_cuda();
    if (cuda_devices() < kRanks) GTEST_SKIP() << "needs " << kRanks << " CUDA devices";
    with_ranks(kRanks, [&](Communicator& host) {
      Context ctx(Device::cuda, 1, 0, host.rank());
      const auto comm = make_nccl_communicator(host, host.rank());
      body({*comm, ctx});
    });
  }
};

using NcclWorlds = testing::Types<Nccl<1>, Nccl<2>, Nccl<3>, Nccl<4>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Nccl, CommunicatorSuite, NcclWorlds);

}  // namespace
}  // namespace seqrank
