// gru4rec in slots: states that are carried from step to step are those of the session read whole.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/ops/activation.h"
#include "tests/models/built_model.h"
#include "tests/support/packed_batch.h"

namespace seqrank {
namespace {

Tensor ids(Context& ctx, const std::vector<std::int32_t>& values) {
  Tensor tensor = ctx.empty(DType::i32, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.data<std::int32_t>());
  return tensor;
}

// What slots read in a step: sequences by falling length, the slot of each whose state it goes on
// from (slots: none), the event whose state each slot keeps.
Batch slot_batch(Context& ctx, const std::vector<std::vector<int>>& sequences,
                 const std::vector<std::int32_t>& state_from_B,
                 const std::vector<std::int32_t>& state_at_S) {
  Batch batch = packed_batch(ctx, sequences);
  batch.state_from_B = ids(ctx, state_from_B);
  batch.state_at_S = ids(ctx, state_at_S);
  return batch;
}

class Gru4Rec : public testing::TestWithParam<const char*> {
 protected:
  Gru4Rec() : built_(build(ctx_, "gru4rec", {{"model.layers", GetParam()}})) {
    carried_ = built_->trained().carry(ctx_, {4, 6, 9});
  }
  double loss_sum(const Batch& batch) {
    return loss_of(ctx_, *built_, batch) * static_cast<double>(batch.global_targets);
  }

  Context ctx_{Device::cpu, 1};
  std::unique_ptr<Built> built_;
  std::vector<CarriedRows> carried_;
};

TEST_P(Gru4Rec, CarriesARowOfEachLayerForEachSlotOfItsRank) {
  ASSERT_EQ(carried_.size(), static_cast<std::size_t>(std::stoi(GetParam())));
  for (const CarriedRows& carried : carried_) {
    EXPECT_TRUE(carried.name.starts_with("state/"));
    EXPECT_EQ(carried.row_SD.shape(), (Shape{2, 8}));
    for (float x : carried.row_SD.span<float>()) EXPECT_EQ(x, 0.0f);
  }
}

TEST_P(Gru4Rec, SessionsInPartsHaveTheLossesOfWholeOnes) {
  const double whole = loss_sum(packed_batch(ctx_, {{1, 2, 3, 4, 5}, {7, 3}, {9, 8, 6}}));
  // Slot 0: 1 2 3 4 | 5; slot 1: 7 | 3, then 9 8 | 6. Two is the state of a session that begins.
  double parts = loss_sum(slot_batch(ctx_, {{1, 2, 3}, {7, 3}}, {2, 2}, {1, 2}));
  parts += loss_sum(slot_batch(ctx_, {{3, 4}, {9, 8}}, {0, 2}, {0, 1}));
  parts += loss_sum(slot_batch(ctx_, {{8, 6}, {4, 5}}, {1, 0}, {1, 0}));
  EXPECT_NEAR(parts / whole, 1, 1e-6);
}

TEST(Gru4RecInput, PlacesAreRefused) {
  Context ctx(Device::cpu, 1);
  try {
    build(ctx, "gru4rec", {{"model.input", "gap,position"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find("--model.input: gru4rec"), std::string::npos);
  }
}

TEST_P(Gru4Rec, ScoringAndEmptyStepsLeaveStatesAlone) {
  loss_sum(slot_batch(ctx_, {{1, 2, 3}, {7, 3}}, {2, 2}, {1, 2}));
  const auto state = carried_[0].row_SD.span<float>();
  const std::vector<float> before(state.begin(), state.end());
  Tensor score_BV = ctx_.empty(DType::f32, {1, 11});
  built_->model->score_next(ctx_, packed_batch(ctx_, {{4, 5, 6}}), score_BV);
  loss_of(ctx_, *built_, slot_batch(ctx_, {}, {}, {0, 0}));
  EXPECT_TRUE(std::ranges::equal(before, state));
}

// Against differences of the loss from the same states.
TEST_P(Gru4Rec, GradientFromCarriedStatesMatches) {
  const Batch first = slot_batch(ctx_, {{1, 2, 3}, {7, 3}}, {2, 2}, {1, 2});
  const Batch second = slot_batch(ctx_, {{3, 4, 10}, {9, 8}}, {0, 2}, {1, 2});
  loss_sum(first);
  std::vector<std::vector<float>> states;
  for (const CarriedRows& carried : carried_) {
    const auto state = carried.row_SD.span<float>();
    states.emplace_back(state.begin(), state.end());
  }
  const auto restore = [&] {
    for (std::size_t i = 0; i < states.size(); ++i)
      std::ranges::copy(states[i], carried_[i].row_SD.data<float>());
  };
  const std::vector<float> gradient = gradient_of(ctx_, *built_, second);
  double squared = 0;
  for (float x : gradient) squared += static_cast<double>(x) * x;
  const auto w = built_->store.values().span<float>();
  const std::vector<float> start(w.begin(), w.end());
  const auto moved = [&](double by) {
    restore();
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = static_cast<float>(start[i] + by * gradient[i]);
    return loss_of(ctx_, *built_, second);
  };
  const double step = 2e-3 / std::sqrt(squared);
  EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step) / squared, 1, 5e-3);
}

INSTANTIATE_TEST_SUITE_P(Layers, Gru4Rec, testing::Values("1", "2"));

}  // namespace
}  // namespace seqrank
