// What every trained model keeps in whole runs: its first losses, the same losses on any number of
// ranks, exact resume. Which models: trained_models.cc.
#include "tests/trainer/trained_models.h"

#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

class TrainModels : public Train, public testing::WithParamInterface<TrainedModelCase> {
 protected:
  Settings with(Settings settings) const {
    settings.insert(GetParam().settings.begin(), GetParam().settings.end());
    return settings;
  }

  void expect_same_losses(const std::string& expected, const std::string& found, double tolerance) {
    const auto one = losses(expected), other = losses(found);
    ASSERT_EQ(one.size(), other.size());
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(other[i] / one[i], 1, tolerance) << found << ", step " << i + 1;
  }
};

// Catches a change of the arithmetic that all other tests would follow. 1e-4 leaves room for other
// processors.
TEST_P(TrainModels, GoldenLoss) {
  run(1, "golden",
      with({{"train.steps", "20"},
            {"train.warmup", "0"},
            {"train.learning_rate", "0.02"},
            {"model.item_scale", "0.5"}}));
  const auto& golden = GetParam().golden;
  const auto now = losses("golden");
  ASSERT_EQ(now.size(), golden.size()) << testing::PrintToString(now);
  for (std::size_t i = 0; i < golden.size(); ++i)
    ASSERT_NEAR(now[i] / golden[i], 1, 1e-4)
        << "step " << i + 1 << ": " << testing::PrintToString(now);
}

TEST_P(TrainModels, OneAndFourRanksGiveTheSameLoss) {
  for (int ranks : {1, 4}) run(ranks, std::to_string(ranks), with({{"train.steps", "40"}}));
  expect_same_losses("1", "4", 1e-5);
}

TEST_P(TrainModels, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  const Settings whole = with({{"train.steps", "24"}});
  run(2, "whole", whole);
  run(2, "parts", with({{"train.steps", "24"}, {"train.stop_at_step", "10"}}));
  run(2, "parts", whole);
  EXPECT_EQ(losses("whole"), losses("parts"));
  EXPECT_EQ(state("whole", 24), state("parts", 24));
}

TEST_P(TrainModels, ResumesOnAnotherNumberOfRanks) {
  run(1, "whole", with({{"train.steps", "24"}}));
  run(3, "parts", with({{"train.steps", "24"}, {"train.stop_at_step", "10"}}));
  run(2, "parts", with({{"train.steps", "24"}}));
  expect_same_losses("whole", "parts", 1e-5);
}

// Three slots: four of seven ranks have none, but save and load with the others.
TEST_F(Train, StatesOfSlotsGoToAnyNumberOfRanks) {
  const Settings settings = {
      {"model.name", "gru4rec"}, {"train.batch", "3"}, {"train.steps", "40"}};
  Settings stopped = settings;
  stopped["train.stop_at_step"] = "25";
  run(1, "whole", settings);
  run(7, "parts", stopped);
  const auto comm = make_null_communicator();
  CheckpointStore store(temp_.path() + "/parts/checkpoints", *comm);
  ASSERT_EQ(store.newest_good()->step, 25);
  Context ctx(Device::cpu, 1);
  std::vector<TensorPiece> state = {{"state/rnn.0", 0, 24, 24, ctx.empty(DType::f32, {24})}};
  store.load(25, state);
  for (int slot = 0; slot < 3; ++slot)
    EXPECT_NE(state[0].data.span<float>()[slot * 8], 0) << "slot " << slot;
  run(2, "parts", settings);
  const auto whole = losses("whole"), parts = losses("parts");
  ASSERT_EQ(whole.size(), parts.size());
  for (std::size_t i = 0; i < whole.size(); ++i)
    EXPECT_NEAR(parts[i] / whole[i], 1, 1e-5) << "step " << i + 1;
}

INSTANTIATE_TEST_SUITE_P(Each, TrainModels, testing::ValuesIn(trained_models()));

}  // namespace
}  // namespace seqrank
