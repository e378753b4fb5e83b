// Failure among ranks that exchange by NCCL: nobody waits for ever, and what is wrong is told.
// Ranks are threads, each with a device. Skipped where there are not enough devices.
#include "collective/nccl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "backend/device.h"
#include "backend/ops/activation.h"
#include "collective/thread.h"

namespace seqrank {
namespace {

using testing::HasSubstr;

constexpr double kPatience = .5;

class NcclFailure : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_devices() < 2) GTEST_SKIP() << "needs 2 CUDA devices: " << why_no_cuda();
    testing::internal::CaptureStderr();
  }
  void TearDown() override {
    if (cuda_devices() >= 2) std::fputs(lines().c_str(), stderr);
  }
  // What the test has printed so far.
  std::string lines() {
    if (printed_.empty()) printed_ = testing::internal::GetCapturedStderr() + " ";
    return printed_;
  }

 private:
  std::string printed_;
};

std::string message_of_ranks(
    const std::function<void(Communicator&, Context&, Communicator&)>& body) {
  try {
    with_ranks(2, [&](Communicator& host) {
      Context ctx(Device::cuda, 1, 0, host.rank());
      const auto comm = make_nccl_communicator(host, host.rank(), kPatience);
      body(*comm, ctx, host);
    });
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

void all_reduce(Communicator& comm, Context& ctx) {
  Tensor x = ctx.empty(DType::f32, {1000}, Tag::workspace);
  fill(ctx, x, 1);
  comm.stream().wait(ctx.compute().record());
  comm.all_reduce(x, Reduce::sum);
  comm.stream().synchronize();
}

TEST_F(NcclFailure, ACallThatARankNeverMakesIsToldAndEnds) {
  const std::string message =
      message_of_ranks([](Communicator& comm, Context& ctx, Communicator& host) {
        all_reduce(comm, ctx);
        if (comm.rank() == 0) {
          all_reduce(comm, ctx);  // hangs until the watch ends it
          EXPECT_THROW(all_reduce(comm, ctx), Error);
        }
        host.barrier();
      });
  const char* call = "all_reduce #1 (sum, f32, 1000 elements, 4000 bytes): ";
  EXPECT_THAT(message, HasSubstr(call));
  EXPECT_THAT(lines(), HasSubstr(std::string("seqrank: rank 0: ") + call));
  EXPECT_THAT(lines(), HasSubstr("s without progress"));
}

TEST_F(NcclFailure, ARankThatFailsLeavesNobodyWaiting) {
  EXPECT_EQ(message_of_ranks([](Communicator& comm, Context& ctx, Communicator&) {
              all_reduce(comm, ctx);
              if (comm.rank() == 1) throw std::runtime_error("no such row");
              all_reduce(comm, ctx);
              all_reduce(comm, ctx);
            }),
            "no such row");
}

TEST_F(NcclFailure, TwoRanksOnOneDeviceAreRefused) {
  try {
    with_ranks(2, [](Communicator& host) { make_nccl_communicator(host, 0, 10); });
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::peers);
    EXPECT_THAT(error.what(), HasSubstr("start one rank a GPU"));
  }
}

TEST(NcclDeathTest, ValuesGoThroughTheHost) {
  if (cuda_devices() == 0) GTEST_SKIP() << why_no_cuda();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(with_ranks(1,
                          [](Communicator& host) {
                            make_nccl_communicator(host, 0)->all_reduce_value(1.0, Reduce::sum);
                          }),
               "go through the host's communicator");
}

}  // namespace
}  // namespace seqrank
