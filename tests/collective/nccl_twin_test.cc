// What NCCL's twin on the emulated device reports, where NCCL itself would hang or say nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/ops/activation.h"
#include "collective/nccl.h"
#include "collective/thread.h"
#include "tests/support/emulated/runtime.h"

namespace seqrank {
namespace {

using testing::HasSubstr;

// Of two ranks whose bodies may fail; what the device found wrong.
std::vector<std::string> violations_of(const std::function<void(Communicator&, Context&)>& body) {
  try {
    with_ranks(2, [&](Communicator& host) {
      Context ctx(Device::cuda, 1, 0, host.rank());
      const auto comm = make_nccl_communicator(host, host.rank());
      body(*comm, ctx);
    });
  } catch (const Error&) {  // the ranks' own words are for nccl_test.cc
  }
  return emu::take_violations();
}

Tensor ones(Context& ctx) {
  Tensor x = ctx.empty(DType::f32, {1001}, Tag::workspace);
  fill(ctx, x, 1);
  return x;
}

TEST(NcclTwin, FindsNothingWrongWithTwoRanksThatAgree) {
  EXPECT_THAT(violations_of([](Communicator& comm, Context& ctx) {
                Tensor x = ones(ctx);
                comm.stream().wait(ctx.compute().record());
                comm.reduce_scatter(x, Reduce::sum);
                comm.all_gather(x);
                ctx.compute().wait(comm.stream().record());
                fill(ctx, x, 2);
              }),
              testing::IsEmpty());
}

TEST(NcclTwin, ReportsRanksThatDifferInTheirCalls) {
#ifndef NDEBUG
  GTEST_SKIP() << "in this build the ranks compare their calls before NCCL has them";
#endif
  EXPECT_THAT(violations_of([](Communicator& comm, Context& ctx) {
                Tensor x = ones(ctx);
                comm.stream().wait(ctx.compute().record());
                if (comm.rank() == 0) comm.broadcast(x, 0);
                comm.all_reduce(x, Reduce::sum);
                comm.stream().synchronize();
              }),
              testing::Contains(HasSubstr("NCCL would hang or write elsewhere")));
}

#ifndef EMU_TSAN  // which finds these two as well, and ends the program
TEST(NcclTwin, ReportsACallThatDoesNotWaitForWhatComputeWrites) {
  EXPECT_THAT(violations_of([](Communicator& comm, Context& ctx) {
                Tensor x = ones(ctx);
                comm.all_reduce(x, Reduce::sum);
                ctx.compute().wait(comm.stream().record());
              }),
              testing::Contains(HasSubstr("nothing orders the two")));
}

TEST(NcclTwin, ReportsAResultThatIsUsedWithoutAWait) {
  EXPECT_THAT(violations_of([](Communicator& comm, Context& ctx) {
                Tensor x = ones(ctx);
                comm.stream().wait(ctx.compute().record());
                comm.all_reduce(x, Reduce::sum);
                fill(ctx, x, 2);
                comm.stream().synchronize();
              }),
              testing::Contains(HasSubstr("nothing orders the two")));
}
#endif

}  // namespace
}  // namespace seqrank
