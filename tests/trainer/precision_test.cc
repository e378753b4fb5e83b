// Training in another precision: how near fp32 it stays, exact resume, what a CPU refuses and says,
// and a loss scale that leaves no trace.
#include <cmath>

#include "backend/cpu/gemm.h"
#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

using testing::HasSubstr;

class TrainPrecision : public Train {
 protected:
  std::string log(const std::string& name) {
    return read_file(temp_.path() + "/" + name + "/log.txt");
  }
  std::string what_run_throws(const std::string& name, const Settings& settings, int exit_code) {
    try {
      run(1, name, settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), exit_code);
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return "";
  }
};

// Weights move by rounding of 2^-9 and by what that does to later steps; the loss of a step is the
// mean of about a hundred events' and differs far less.
TEST_F(TrainPrecision, Bf16StaysNearFp32For200Steps) {
  for (const char* precision : {"fp32", "bf16"})
    run(1, precision,
        {{"train.steps", "200"},
         {"train.learning_rate", "0.01"},
         {"train.precision", precision},
         {"model.item_scale", "0.5"}});
  const auto exact = losses("fp32"), rounded = losses("bf16");
  ASSERT_EQ(exact.size(), rounded.size());
  EXPECT_LT(rounded.back(), 0.9 * rounded.front());
  for (std::size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(rounded[i] / exact[i], 1, 2e-3) << "step " << i + 1;
  if (cpu::has_bf16_products()) {
    EXPECT_NE(exact, rounded);
  } else {
    EXPECT_THAT(log("bf16"), HasSubstr("has no bf16 products"));
  }
}

TEST_F(TrainPrecision, Bf16ResumesBitwise) {
  const Settings settings = {{"train.steps", "200"}, {"train.precision", "bf16"}};
  Settings stopped = settings;
  stopped["train.stop_at_step"] = "100";
  for (int ranks : {1, 2}) {
    const std::string r = std::to_string(ranks);
    run(ranks, "whole" + r, settings);
    run(ranks, "parts" + r, stopped);
    run(ranks, "parts" + r, settings);
    EXPECT_EQ(state("whole" + r, 200), state("parts" + r, 200));
    EXPECT_EQ(losses("whole" + r), losses("parts" + r));
  }
}

TEST_F(TrainPrecision, EvaluationIsInFp32AndLeavesTheStepInBf16) {
  for (const char* every : {"0", "1"})
    run(1, every,
        {{"train.epochs", "2"}, {"train.evaluate_every", every}, {"train.precision", "bf16"}});
  EXPECT_EQ(losses("0"), losses("1"));
}

TEST_F(TrainPrecision, Fp16IsRefusedOnACpuBeforeAnythingIsWritten) {
  EXPECT_THAT(what_run_throws("half", {{"train.precision", "fp16"}}, 2),
              HasSubstr("--train.precision=bf16 or fp32"));
  EXPECT_FALSE(std::filesystem::exists(temp_.path() + "/half"));
}

TEST_F(TrainPrecision, Tf32OnACpuIsFp32AndSaysSo) {
  for (const char* precision : {"fp32", "tf32"})
    run(1, precision, {{"train.steps", "20"}, {"train.precision", precision}});
  EXPECT_THAT(log("tf32"), HasSubstr("tf32 is wanted, but this CPU"));
  EXPECT_EQ(state("fp32", 20), state("tf32", 20));
}

TEST_F(TrainPrecision, ACheckpointOfAnotherPrecisionIsRefused) {
  run(1, "one", {{"train.steps", "5"}});
  EXPECT_THAT(what_run_throws("one", {{"train.steps", "9"}, {"train.precision", "bf16"}}, 6),
              HasSubstr("train.precision: fp32 saved, bf16 now"));
}

// A power of two: in fp32 not one bit of a weight, a moment or the norm moves. And going on after a
// stop with the scale half way to its next growth is going on.
TEST_F(TrainPrecision, ALossScaleLeavesNoTraceAndResumesMidGrowth) {
  const Settings plain = {{"train.steps", "200"}};
  Settings scaled = plain;
  scaled["train.loss_scale"] = "1024";
  scaled["train.loss_scale_steps"] = "70";
  Settings stopped = scaled;
  stopped["train.stop_at_step"] = "100";
  run(2, "plain", plain);
  run(2, "whole", scaled);
  run(2, "parts", stopped);
  EXPECT_EQ(saved("parts").loss_scale, 2048);
  EXPECT_EQ(saved("parts").loss_scale_good, 30);
  run(2, "parts", scaled);
  for (const char* name : {"whole", "parts"}) {
    EXPECT_EQ(state("plain", 200), state(name, 200));
    EXPECT_EQ(losses("plain"), losses(name));
    EXPECT_EQ(saved(name).loss_scale, 4096);
    EXPECT_EQ(saved(name).loss_scale_good, 60);
  }
  EXPECT_EQ(saved("plain").loss_scale, 0);
  const auto norms = lines("plain"), norms_there = lines("whole");
  for (std::size_t i = 0; i < norms.size(); ++i)
    EXPECT_EQ(norms[i]["grad_norm"], norms_there[i]["grad_norm"]);
}

TEST_F(TrainPrecision, ANonFiniteGradientOfOneRankHalvesTheLossScaleOnAll) {
  const Options given = options("nan", {{"train.loss_scale", "1024"}});
  const Dataset dataset = Dataset::open(data_);
  with_ranks(2, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    TrainingParts parts(ctx, comm, dataset, given);
    parts.step->run(parts.loader.next(), 0, 1e-3f, TrainStep::Wish::go_on);
    EXPECT_EQ(parts.step->loss_scale().good_steps, 1);
    parts.exchange->settle();
    if (comm.rank() == 1) parts.parameters.values().span<float>()[0] = NAN;
    parts.step->run(parts.loader.next(), 1, 1e-3f, TrainStep::Wish::go_on);
    EXPECT_FALSE(std::isfinite(parts.step->summary(1).grad_norm));
    EXPECT_EQ(parts.step->loss_scale().scale, 512);
    EXPECT_EQ(parts.step->loss_scale().good_steps, 0);
  });
}

TEST_F(TrainPrecision, ALossScaleIsAPowerOfTwo) {
  EXPECT_THAT(what_run_throws("three", {{"train.loss_scale", "3"}}, 2),
              HasSubstr("--train.loss_scale=3: it must be a power of two"));
}

}  // namespace
}  // namespace seqrank
