// Gradient bookkeeping of the tape.
#include "models/nn/tape.h"

#include <gtest/gtest.h>

#include "backend/ops/activation.h"
#include "models/nn/layers.h"

namespace seqrank {
namespace {

Tensor filled(Context& ctx, Shape shape, float value) {
  Tensor tensor = ctx.empty(DType::f32, shape);
  fill(ctx, tensor, value);
  return tensor;
}

// loss = sum of x, as a layer would record it.
Var sum(Tape& tape, Var x) {
  Var loss(tape.ctx().empty(DType::f64, {1}));
  tape.record(loss, {}, [&tape, x]() mutable {
    tape.give_gradient(x, filled(tape.ctx(), x.value().shape(), 1));
  });
  return loss;
}

TEST(Tape, AddsTheGradientsOfAVariableUsedTwice) {
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  Parameter& w = store.declare("w", {2, 3}, {Initialiser::Kind::constant, 2});
  store.allocate(ctx, 1);
  Tape tape(ctx, TapeMode::training, 1);
  Var x(filled(ctx, {4, 3}, 1));
  Var y = nn::linear(tape, x, w, nullptr);
  Var loss = sum(tape, nn::concatenate(tape, y, y));
  tape.backward(loss);
  for (float g : w.gradient.span<float>()) EXPECT_EQ(g, 8);  // 4 rows, twice
}

TEST(Tape, SignalsAParameterAfterItsLastUseInBackwardOrder) {
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  Parameter& shared = store.declare("shared", {3, 3}, {Initialiser::Kind::constant, 1});
  Parameter& once = store.declare("once", {3, 3}, {Initialiser::Kind::constant, 1});
  store.allocate(ctx, 1);
  std::vector<std::string> order;
  Tape tape(ctx, TapeMode::training, 1, [&](Parameter& p) { order.push_back(p.name); });
  Var x(filled(ctx, {1, 3}, 1));
  Var h = nn::linear(tape, x, shared, nullptr);
  h = nn::linear(tape, h, once, nullptr);
  h = nn::linear(tape, h, shared, nullptr);
  Var loss = sum(tape, h);
  tape.backward(loss);
  EXPECT_EQ(order, (std::vector<std::string>{"once", "shared"}));
}

TEST(Tape, InferenceRecordsNothing) {
  Context ctx(Device::cpu, 1);
  Tape tape(ctx, TapeMode::inference, 1);
  bool ran = false;
  tape.record(Var(filled(ctx, {1}, 1)), {}, [&] { ran = true; });
  EXPECT_FALSE(ran);
}

TEST(ParameterStore, InitialValuesDependOnSeedAndNameAlone) {
  Context ctx(Device::cpu, 1);
  const Initialiser normal{Initialiser::Kind::normal, 1};
  ParameterStore one, two, other_seed;
  Parameter& a = one.declare("a", {100}, normal);
  two.declare("before", {7}, normal);
  Parameter& b = two.declare("a", {100}, normal);
  Parameter& c = other_seed.declare("a", {100}, normal);
  one.allocate(ctx, 9);
  two.allocate(ctx, 9);
  other_seed.allocate(ctx, 10);
  EXPECT_TRUE(std::ranges::equal(a.value.span<float>(), b.value.span<float>()));
  EXPECT_FALSE(std::ranges::equal(a.value.span<float>(), c.value.span<float>()));
}

}  // namespace
}  // namespace seqrank
