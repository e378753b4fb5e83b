// The suite over tensors of a CUDA device, ranks as threads: staged through the host, all on one
// device. Skipped where there is no device.
#include <gtest/gtest.h>

#include "backend/device.h"
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

}  // namespace
}  // namespace seqrank
