// The softmax by tiles against the one over whole rows: states of several pieces, tables of several
// tiles; and how little memory it takes.
#include "models/nn/tiled_softmax.h"

#include <gtest/gtest.h>

#include "models/nn/layers.h"
#include "models/nn/losses.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

struct Case {
  std::int64_t states, items, depth;
  nn::RowLength length = nn::RowLength::as_is;
  SoftmaxOptions options = {};
};

struct Result {
  double loss = 0;
  std::vector<double> dh, dtable;
};

std::vector<double> values(std::int64_t n, int seed) {
  std::vector<double> result(n);
  for (std::int64_t i = 0; i < n; ++i)
    result[i] = static_cast<double>((i * 7919 + seed * 104729) % 1000) / 500 - 1;
  return result;
}

Var watch(Tape& tape, Tensor value, std::vector<double>& gradient) {
  Var y(std::move(value));
  tape.record(y, {}, [&, y] { gradient = get_values(tape.ctx(), y.gradient()); });
  return y;
}

enum class Way { whole, tiled };

Result run(Context& ctx, const Case& c, Way way) {
  ParameterStore store;
  // A row more than there are items, as a mask is.
  Parameter& table = store.declare("table", {c.items + 1, c.depth}, {Initialiser::Kind::normal, 1});
  store.allocate(ctx, 1);
  Batch batch;
  batch.global_targets = 2 * c.states;
  Tensor h = ctx.empty(DType::f32, {c.states, c.depth});
  set_values(ctx, h, values(h.numel(), 1));
  Tensor target = ctx.empty(DType::i32, {c.states});
  std::vector<double> targets(c.states);
  for (std::int64_t n = 0; n < c.states; ++n) targets[n] = static_cast<double>(n * 613 % c.items);
  set_values(ctx, target, targets);
  Tape tape(ctx, TapeMode::training, 1);
  Result result;
  Var h_MD = watch(tape, h, result.dh), loss;
  if (way == Way::tiled) {
    loss = nn::tiled_softmax_loss(tape, h_MD, {table, c.items, c.length}, target, batch, c.options);
  } else {
    Var rows(table, c.items);
    if (c.length == nn::RowLength::one) rows = nn::l2_normalise(tape, rows);
    loss = nn::softmax_loss(tape, h_MD, rows, target, batch.global_targets, c.options);
  }
  tape.backward(loss);
  result.loss = get_values(ctx, loss.value())[0];
  result.dtable = get_values(ctx, table.gradient);
  return result;
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  double largest = 0;
  for (double x : a) largest = std::max(largest, std::abs(x));
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], 1e-5 * largest) << what << " " << i;
}

TEST(TiledSoftmax, IsTheSoftmaxOverWholeRows) {
  for (const Case& c : {Case{1, 1, 3}, Case{7, 300, 5}, Case{1100, 9000, 4},
                        Case{1500, 5000, 3, nn::RowLength::one, {.temperature = 0.2f}},
                        Case{30, 17000, 4, nn::RowLength::as_is, {.label_smoothing = 0.1f}}}) {
    Context ctx(Device::cpu, 1);
    const Result whole = run(ctx, c, Way::whole), tiled = run(ctx, c, Way::tiled);
    EXPECT_NEAR(tiled.loss, whole.loss, 1e-6 * (1 + whole.loss));
    expect_near(whole.dh, tiled.dh, "dh");
    expect_near(whole.dtable, tiled.dtable, "dtable");
  }
}

TEST(TiledSoftmax, NoStatesNoLoss) {
  Context ctx(Device::cpu, 1);
  EXPECT_EQ(run(ctx, {0, 10, 3}, Way::tiled).loss, 0);
}

TEST(TiledSoftmax, TakesMemoryForATileAlone) {
  Context ctx(Device::cpu, 1);
  run(ctx, {2000, 100000, 4}, Way::tiled);
  EXPECT_LT(ctx.arena().peak_bytes(Tag::workspace), std::size_t{24} << 20);
}

}  // namespace
}  // namespace seqrank
