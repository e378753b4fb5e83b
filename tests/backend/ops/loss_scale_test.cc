// The loss scale's decisions, and that a power of two leaves no trace in a step.
#include "backend/ops/loss_scale.h"

#include <cmath>

#include "backend/ops/optimiser.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

struct State {
  double scale, good_steps;
  friend bool operator==(const State&, const State&) = default;
};

std::ostream& operator<<(std::ostream& out, const State& state) {
  return out << state.scale << " after " << state.good_steps << " good steps";
}

// One step with the norm `norm` of the gradients as they are; returns what adamw() gets.
double step(Context& ctx, State& state, double norm, float clip, const LossScale& options) {
  Tensor state_2 = ctx.empty(DType::f32, {2}), scale_1 = ctx.empty(DType::f32, {1});
  Tensor squared_norm_1 = ctx.empty(DType::f64, {1});
  set_values(ctx, state_2, {state.scale, state.good_steps});
  const double scaled = norm * state.scale;
  set_values(ctx, squared_norm_1, {scaled * scaled});
  remove_loss_scale(ctx, squared_norm_1, state_2);
  clip_scale(ctx, scale_1, squared_norm_1, clip);
  update_loss_scale(ctx, scale_1, state_2, squared_norm_1, options);
  const double seen = std::sqrt(get_values(ctx, squared_norm_1)[0]);
  EXPECT_TRUE(seen == norm || !std::isfinite(norm)) << seen;
  const auto after = get_values(ctx, state_2);
  state = {after[0], after[1]};
  return get_values(ctx, scale_1)[0];
}

SEQRANK_OP_TEST(LossScale, IsDividedOutAndDoublesAfterGoodSteps) {
  Context ctx(device, 1);
  const LossScale options{.growth_steps = 3};
  State state{1024, 0};
  EXPECT_EQ(step(ctx, state, 4, 1, options), 0.25 / 1024);
  EXPECT_EQ(state, (State{1024, 1}));
  EXPECT_EQ(step(ctx, state, 0.5, 1, options), 1.0 / 1024);
  EXPECT_EQ(step(ctx, state, 0.5, 0, options), 1.0 / 1024);
  EXPECT_EQ(state, (State{2048, 0}));
  EXPECT_EQ(step(ctx, state, 2, 1, options), 0.5 / 2048);
}

SEQRANK_OP_TEST(LossScale, HalvesWhereTheNormIsNotFinite) {
  Context ctx(device, 1);
  const LossScale options{.growth_steps = 3};
  for (double bad : {std::nan(""), double{INFINITY}}) {
    State state{1024, 2};
    EXPECT_EQ(step(ctx, state, bad, 1, options), 0);
    EXPECT_EQ(state, (State{512, 0}));
  }
}

SEQRANK_OP_TEST(LossScale, HasAFloorAndACeiling) {
  Context ctx(device, 1);
  const LossScale options{.least = 2, .most = 8, .growth_steps = 1};
  State state{4, 0};
  for (double scale : {8, 8}) {
    step(ctx, state, 1, 1, options);
    EXPECT_EQ(state, (State{scale, 0}));
  }
  for (double scale : {4, 2, 2}) {
    step(ctx, state, INFINITY, 1, options);
    EXPECT_EQ(state, (State{scale, 0}));
  }
}

SEQRANK_OP_TEST(LossScale, AbsentDoesNothing) {
  Context ctx(device, 1);
  Tensor scale_1 = ctx.empty(DType::f32, {1}), squared_norm_1 = ctx.empty(DType::f64, {1});
  set_values(ctx, scale_1, {0.25});
  set_values(ctx, squared_norm_1, {9});
  Tensor absent;
  remove_loss_scale(ctx, squared_norm_1, absent);
  update_loss_scale(ctx, scale_1, absent, squared_norm_1, {});
  EXPECT_EQ(get_values(ctx, squared_norm_1)[0], 9);
  EXPECT_EQ(get_values(ctx, scale_1)[0], 0.25);
}

}  // namespace
}  // namespace seqrank
