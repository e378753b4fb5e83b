// The suite over the transports that need no launcher.
#include "tests/collective/communicator_suite.h"

#include "collective/thread.h"

namespace seqrank {
namespace {

struct Null {
  static void run(const std::function<void(SuiteRanks)>& body) {
    const auto world = make_null_communicator();
    Context ctx(Device::cpu, 1);
    body({*world, ctx});
  }
};

template <int kRanks>
struct Threads {
  static void run(const std::function<void(SuiteRanks)>& body) {
    with_ranks(kRanks, [&](Communicator& comm) {
      Context ctx(Device::cpu, 1);
      body({comm, ctx});
    });
  }
};

using Worlds = testing::Types<Null, Threads<1>, Threads<2>, Threads<3>, Threads<4>>;
INSTANTIATE_TYPED_TEST_SUITE_P(InProcess, CommunicatorSuite, Worlds);
INSTANTIATE_TYPED_TEST_SUITE_P(InProcess, HostCommunicatorSuite, Worlds);

TEST(NullCommunicatorDeathTest, AbortEndsTheProcessWithTheCode) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(make_null_communicator()->abort("no such file", 3), testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace seqrank
