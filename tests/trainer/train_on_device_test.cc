// The whole training job on CUDA devices, ranks as threads, against the same job on the CPU: the
// GPUs of this machine, or the emulated device.
#include "backend/device.h"
#include "collective/nccl.h"
#include "collective/staged.h"
#include "tests/support/op_case.h"
#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

class TrainOnDevice : public Train {
 protected:
  void SetUp() override {
    const std::string why = why_no_device(Device::cuda);
    if (!why.empty()) GTEST_SKIP() << why;
  }

  enum class Exchange { nccl, staged };

  // Staged, ranks share the devices that there are.
  void run_on_device(int ranks, const std::string& name, const Settings& settings,
                     Exchange exchange = Exchange::staged) {
    const Options given = options(name, settings);
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(Device::cuda, 1, 0, comm.rank() % cuda_devices());
      const auto device_comm = exchange == Exchange::staged
                                   ? make_staged_communicator(comm, ctx)
                                   : make_nccl_communicator(comm, ctx.ordinal());
      train(ctx, {comm, *device_comm}, Dataset::open(given.text("data")), given, {}, {});
    });
  }

  void expect_losses_as_on_cpu(const std::string& name, double tolerance) {
    const auto on_cpu = losses(name + "-cpu"), on_device = losses(name + "-cuda");
    ASSERT_EQ(on_cpu.size(), on_device.size());
    for (std::size_t i = 0; i < on_cpu.size(); ++i)
      EXPECT_NEAR(on_device[i], on_cpu[i], tolerance * on_cpu[i]) << "step " << i + 1;
  }
};

#if defined(__SANITIZE_THREAD__)
constexpr const char* kSteps = "4";
#elif defined(__SANITIZE_ADDRESS__)
constexpr const char* kSteps = "12";
#else
constexpr const char* kSteps = "60";
#endif

TEST_F(TrainOnDevice, OneRankHasTheLossesOfTheCpu) {
  const Settings settings = {{"train.steps", kSteps}};
  run(1, "one-cpu", settings);
  run_on_device(1, "one-cuda", settings);
  expect_losses_as_on_cpu("one", 1e-3);
}

TEST_F(TrainOnDevice, TwoRanksHaveTheLossesOfTheCpu) {
  const Settings settings = {{"train.steps", kSteps}, {"train.bucket_bytes", "1000"}};
  run(2, "two-cpu", settings);
  run_on_device(2, "two-cuda", settings);
  expect_losses_as_on_cpu("two", 1e-3);
}

TEST_F(TrainOnDevice, TwoRanksOverNcclHaveTheLossesOfTheCpu) {
  if (cuda_devices() < 2) GTEST_SKIP() << "NCCL wants a device a rank, there is one";
  const Settings settings = {{"train.steps", kSteps}, {"train.bucket_bytes", "1000"}};
  run(2, "nccl-cpu", settings);
  run_on_device(2, "nccl-cuda", settings, Exchange::nccl);
  expect_losses_as_on_cpu("nccl", 1e-3);
}

TEST_F(TrainOnDevice, Bf16HasTheLossesOfTheCpuNearly) {
  run(2, "bf16-cpu", {{"train.steps", kSteps}});
  run_on_device(2, "bf16-cuda", {{"train.steps", kSteps}, {"train.precision", "bf16"}});
  expect_losses_as_on_cpu("bf16", 1e-2);
}

TEST_F(TrainOnDevice, Fp16WithItsLossScaleHasTheLossesOfTheCpuNearly) {
  run(2, "fp16-cpu", {{"train.steps", kSteps}});
  run_on_device(2, "fp16-cuda", {{"train.steps", kSteps}, {"train.precision", "fp16"}});
  expect_losses_as_on_cpu("fp16", 1e-2);
}

TEST_F(TrainOnDevice, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  run_on_device(2, "whole", {{"train.steps", "8"}});
  run_on_device(2, "parts", {{"train.steps", "8"}, {"train.stop_at_step", "4"}});
  run_on_device(2, "parts", {{"train.steps", "8"}});
  EXPECT_EQ(losses("whole"), losses("parts"));
  EXPECT_EQ(state("whole", 8), state("parts", 8));
}

}  // namespace
}  // namespace seqrank
