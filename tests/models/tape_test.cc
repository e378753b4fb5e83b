// Gradient bookkeeping of the tape.
#include "models/nn/tape.h"

#include <gtest/gtest.h>

#include "backend/ops/activation.h"
#include "models/nn/layers.h"
#include "tests/support/tensor_values.h"

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
  Tape tape(ctx, TapeMode::training, 1,
            {.complete = [&](Parameter& p) { order.push_back(p.name); }});
  Var x(filled(ctx, {1, 3}, 1));
  Var h = nn::linear(tape, x, shared, nullptr);
  h = nn::linear(tape, h, once, nullptr);
  h = nn::linear(tape, h, shared, nullptr);
  Var loss = sum(tape, h);
  tape.backward(loss);
  EXPECT_EQ(order, (std::vector<std::string>{"once", "shared"}));
}

// Forward from the rows that were fetched, backward to whoever gave them: each row once.
TEST(Tape, ALookUpGoesThroughTheHookByUniqueRows) {
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  Parameter& table = store.declare("table", {5, 1}, {}, Decay::yes, Access::rows);
  store.allocate(ctx, 1);
  std::vector<double> asked, returned;
  const auto fetch_rows = [&](Parameter& p, const Tensor& id_U) -> FetchedRows {
    EXPECT_EQ(&p, &table);
    asked = get_values(id_U);
    Tensor row_UD = ctx.empty(DType::f32, {2, 1});
    set_values(row_UD, {10, 40});
    return {row_UD, [&](const Tensor& drow_UD) { returned = get_values(drow_UD); }};
  };
  Tape tape(ctx, TapeMode::training, 1, {.fetch_rows = fetch_rows});
  const std::vector<std::int32_t> ids = {4, 1, 4};
  Tensor id_N = ctx.empty(DType::i32, {3});
  std::ranges::copy(ids, id_N.data<std::int32_t>());
  Var y = nn::embedding(tape, table, id_N, unique_rows(ctx.arena(), ids));
  EXPECT_EQ(get_values(y.value()), (std::vector<double>{40, 10, 40}));
  Var loss = sum(tape, y);
  tape.backward(loss);
  EXPECT_EQ(asked, (std::vector<double>{1, 4}));
  EXPECT_EQ(returned, (std::vector<double>{1, 2}));
  for (float g : table.gradient.span<float>()) EXPECT_EQ(g, 0);
}

TEST(Tape, InferenceRecordsNothing) {
  Context ctx(Device::cpu, 1);
  Tape tape(ctx, TapeMode::inference, 1);
  bool ran = false;
  tape.record(Var(filled(ctx, {1}, 1)), {}, [&] { ran = true; });
  EXPECT_FALSE(ran);
}

TEST(ParameterStore, WhatIsReadByRowsTakesWholeRowsAPiece) {
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  const Initialiser one{Initialiser::Kind::constant, 1};
  store.declare("before", {5, 3}, one);
  const Parameter& table = store.declare("table", {5, 3}, one, Decay::yes, Access::rows_and_whole);
  const Parameter& after = store.declare("after", {2}, one);
  store.allocate(ctx, 1, 4);
  EXPECT_EQ(table.offset, 64);
  EXPECT_EQ(table.extent, 8 * 3);
  EXPECT_EQ(table.value().shape(), Shape({5, 3}));
  EXPECT_EQ(after.offset, 128);
  EXPECT_EQ(after.extent, 64);
  const auto values = store.values().span<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], i % 64 < (i < 128 ? 15u : 2u) ? 1.0f : 0.0f) << i;
}

TEST(ParameterStore, PiecesAreEqualAndOfWholeVectors) {
  Context ctx(Device::cpu, 1);
  for (const int pieces : {1, 2, 3, 8, 48, 200}) {
    ParameterStore store;
    store.declare("one", {1}, {});
    store.declare("many", {7, 43}, {});
    store.declare("rows", {5, 3}, {}, Decay::yes, Access::rows);
    store.declare("last", {65}, {});
    store.allocate(ctx, 1, pieces);
    const auto& p = store.parameters();
    for (const Parameter& each : p) {
      EXPECT_EQ(each.offset % 64, 0) << each.name << " in " << pieces;
      EXPECT_EQ(each.extent % (each.access == Access::whole ? 4 * pieces : 3 * pieces), 0)
          << each.name << " in " << pieces;
    }
    EXPECT_EQ(p[1].offset, p[0].offset + p[0].extent) << "a bucket may hold both";
  }
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
  EXPECT_TRUE(std::ranges::equal(a.value().span<float>(), b.value().span<float>()));
  EXPECT_FALSE(std::ranges::equal(a.value().span<float>(), c.value().span<float>()));
}

}  // namespace
}  // namespace seqrank
