// The whole training job on CUDA devices, ranks as threads, against the same job on the CPU: the
// GPUs of this machine, or the emulated device.
#include <cmath>

#include "backend/device.h"
#include "data/dataset_writer.h"
#include "tests/support/op_case.h"
#include "tests/trainer/train_support.h"
#include "tests/trainer/trained_models.h"

namespace seqrank {
namespace {

class TrainOnDevice : public Train {
 protected:
  void SetUp() override {
    const std::string why = why_no_device(Device::cuda);
    if (!why.empty()) GTEST_SKIP() << why;
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
constexpr const char* kFewSteps = "4";

class EachTrainOnDevice : public TrainOnDevice,
                          public testing::WithParamInterface<TrainedModelCase> {};

TEST_P(EachTrainOnDevice, HasTheLossesOfTheCpu) {
  Settings settings = GetParam().settings;
  settings["train.steps"] = kFewSteps;
  settings["model.width"] = "16";  // two heads of 8, which is the least on a device
  run(1, "one-cpu", settings);
  run_on_device(1, "one-cuda", settings);
  expect_losses_as_on_cpu("one", 1e-3);
}
INSTANTIATE_TEST_SUITE_P(Each, EachTrainOnDevice, testing::ValuesIn(trained_models()));

TEST_F(TrainOnDevice, OneRankHasTheLossesOfTheCpu) {
  const Settings settings = {{"train.steps", kSteps}};
  run(1, "one-cpu", settings);
  run_on_device(1, "one-cuda", settings);
  expect_losses_as_on_cpu("one", 1e-3);
  const std::string log = read_file(temp_.path() + "/one-cuda/log.txt");
  EXPECT_NE(log.find("own kernels: GRU"), log.npos) << log;
  EXPECT_EQ(log.find("own kernels: GRU"), log.rfind("own kernels")) << "said once: " << log;
}

TEST_F(TrainOnDevice, TwoRanksHaveTheLossesOfTheCpu) {
  const Settings settings = {{"train.steps", kSteps}, {"train.bucket_bytes", "1000"}};
  run(2, "two-cpu", settings);
  run_on_device(2, "two-cuda", settings);
  expect_losses_as_on_cpu("two", 1e-3);
}

// Rows of three ranks, and of two that hold the same; evaluated and saved, too.
TEST_F(TrainOnDevice, SplitTablesHaveTheLossesOfTheCpu) {
  const Settings forms[] = {
      {{"model.score", "cosine"}},
      {{"loss.kind", "sampled_softmax"}, {"loss.negatives", "20"}},
      {{"loss.kind", "bce"}, {"table.optimiser", "rowwise_adagrad"}},
      {{"loss.kind", "bpr"}, {"table.optimiser", "lazy_adam"}},
      {{"loss.kind", "bce"}, {"table.dtype", "bf16"}, {"table.optimiser", "rowwise_adagrad"}}};
  for (const Settings& form : forms)
    for (const auto& [ranks, group] : {std::pair(3, "all"), std::pair(4, "2")}) {
      Settings settings = form;
      settings.insert({{"train.steps", kFewSteps},
                       {"train.batch", "80"},
                       {"train.evaluate_every", "1"},
                       {"table.split", "yes"},
                       {"table.group", group}});
      const std::string name = fmt::format("{}{}{}", ranks, form.begin()->second, &form - forms);
      run(ranks, name + "-cpu", settings);
      run_on_device(ranks, name + "-cuda", settings);
      expect_losses_as_on_cpu(name, 1e-3);
      EXPECT_NEAR(saved(name + "-cuda").best_value, saved(name + "-cpu").best_value, 0.02);
    }
}

// 12 items here, of which 8 are there, numbered otherwise.
TEST_F(TrainOnDevice, ARunFromAnotherWithFrozenParametersHasTheLossesOfTheCpu) {
  const auto write_data = [&](const std::string& name, int first_key) {
    DatasetWriter writer(temp_.path() + name);
    for (int s = 0; s < 20; ++s)
      writer.add_sequence(std::vector<std::int32_t>{s % 12, (s + 5) % 12, s * s % 12, s % 7}, {});
    for (int i = 0; i < 12; ++i) writer.add_item_key(std::to_string(std::abs(first_key - i)));
    writer.finish(12);
    return temp_.path() + name;
  };
  run(3, "source", {{"data", write_data("/source.h5", 0)}, {"train.steps", "6"}});
  for (const char* tied : {"yes", "no"}) {
    const Settings settings = {{"data", write_data("/target.h5", 15)},
                               {"model.tied", tied},
                               {"train.steps", kFewSteps},
                               {"train.init_from", temp_.path() + "/source"},
                               {"train.init_items", "mean"},
                               {"train.freeze", "items,rnn.*"},
                               {"train.rate_scale", "output.*:0.5"}};
    const std::string name = std::string("tied ") + tied;
    run(2, name + "-cpu", settings);
    run_on_device(2, name + "-cuda", settings);
    expect_losses_as_on_cpu(name, 1e-3);
    EXPECT_EQ(weights(name + "-cpu", 4, settings).at("items"),
              weights(name + "-cuda", 4, settings).at("items"));
  }
}

TEST_F(TrainOnDevice, TwoRanksOverNcclHaveTheLossesOfTheCpu) {
  if (cuda_devices() < 2) GTEST_SKIP() << "NCCL wants a device a rank, there is one";
  const Settings settings = {{"train.steps", kSteps}, {"train.bucket_bytes", "1000"}};
  run(2, "nccl-cpu", settings);
  run_on_device(2, "nccl-cuda", settings, Exchange::nccl);
  expect_losses_as_on_cpu("nccl", 1e-3);
}

TEST_F(TrainOnDevice, SplitTablesOverNcclHaveTheLossesOfTheCpu) {
  if (cuda_devices() < 2) GTEST_SKIP() << "NCCL wants a device a rank, there is one";
  const Settings settings = {{"train.steps", kFewSteps}, {"table.split", "yes"}};
  run(2, "nccl-cpu", settings);
  run_on_device(2, "nccl-cuda", settings, Exchange::nccl);
  expect_losses_as_on_cpu("nccl", 1e-3);
}

// As precision_test.cc has it on a CPU: rounding to 8 bits or more moves no loss further.
TEST_F(TrainOnDevice, EveryPrecisionHasLossesNearThoseInFp32) {
  run(2, "fp32", {{"train.steps", kSteps}});
  for (const char* precision : {"tf32", "bf16", "fp16"}) {
    run_on_device(2, precision, {{"train.steps", kSteps}, {"train.precision", precision}});
    const auto exact = losses("fp32"), rounded = losses(precision);
    ASSERT_EQ(exact.size(), rounded.size());
    for (std::size_t i = 0; i < exact.size(); ++i)
      EXPECT_NEAR(rounded[i] / exact[i], 1, 2e-3) << precision << ", step " << i + 1;
  }
}

TEST_F(TrainOnDevice, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  run_on_device(2, "whole", {{"train.steps", "8"}});
  run_on_device(2, "parts", {{"train.steps", "8"}, {"train.stop_at_step", "4"}});
  run_on_device(2, "parts", {{"train.steps", "8"}});
  EXPECT_EQ(losses("whole"), losses("parts"));
  EXPECT_EQ(state("whole", 8), state("parts", 8));
}

TEST_F(TrainOnDevice, Fp16ResumesMidGrowthOfItsLossScale) {
  const Settings settings = {{"train.steps", "8"},
                             {"train.precision", "fp16"},
                             {"train.loss_scale", "1024"},
                             {"train.loss_scale_steps", "3"}};
  Settings stopped = settings;
  stopped["train.stop_at_step"] = "4";
  run_on_device(2, "whole", settings);
  run_on_device(2, "parts", stopped);
  EXPECT_EQ(saved("parts").loss_scale, 2048);
  EXPECT_EQ(saved("parts").loss_scale_good, 1);
  run_on_device(2, "parts", settings);
  for (const char* name : {"whole", "parts"}) {
    EXPECT_EQ(saved(name).loss_scale, 4096);
    EXPECT_EQ(saved(name).loss_scale_good, 2);
  }
  EXPECT_EQ(losses("whole"), losses("parts"));
  EXPECT_EQ(state("whole", 8), state("parts", 8));
}

// With about 100 targets a step, gradients of logits reach 2^24 / 100: more than fp16 holds.
TEST_F(TrainOnDevice, Fp16ComesDownFromALossScaleThatIsTooLarge) {
  run_on_device(
      2, "high",
      {{"train.steps", "8"}, {"train.precision", "fp16"}, {"train.loss_scale", "16777216"}});
  const TrainingState state = saved("high");
  EXPECT_GE(state.skipped_steps, 1);
  EXPECT_LE(state.skipped_steps, 4);
  EXPECT_EQ(state.loss_scale, std::ldexp(1.0, 24 - static_cast<int>(state.skipped_steps)));
  EXPECT_EQ(state.loss_scale_good, 8 - state.skipped_steps);
}

// What needs a number from the device, or a new block of its memory, would wait here.
TEST_F(TrainOnDevice, SteadyStateWaitsForNothingAndAllocatesNothing) {
  const auto comm = make_null_communicator();
  Context ctx(Device::cuda, 1);
  const auto device_comm = make_nccl_communicator(*comm, ctx.ordinal());
  const Options given = options("steady", {{"train.log_every", "1000"}});
  const Dataset dataset = Dataset::open(data_);
  TrainingParts parts(ctx, {*comm, *device_comm}, dataset, given);
  const Batch batch = parts.loader.next();
  const auto steps = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t s = from; s < to; ++s)
      parts.step->run(batch, s, 1e-3f, TrainStep::Wish::go_on, &batch);
  };
  steps(0, 4);
  ctx.compute().synchronize();
  steps(4, 16);  // more of them in flight at once, and the blocks they hold, than are watched below
  ctx.compute().synchronize();
  const std::int64_t waits = device_waits(), blocks = ctx.arena().device_allocations();
  steps(16, 20);
  EXPECT_EQ(device_waits(), waits);
#ifndef SEQRANK_ARENA_PASSES_THROUGH
  EXPECT_EQ(ctx.arena().device_allocations(), blocks);
#else
  (void)blocks;  // every tensor is a block of its own, so that misuse is seen
#endif
}

}  // namespace
}  // namespace seqrank
