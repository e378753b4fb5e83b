// The softmax by tiles against the textbook formula in double: any tiles, items dealt out to parts,
// rows without a target, logits far from zero.
#include "backend/ops/softmax_tiles.h"

#include <algorithm>
#include <cmath>

#include "backend/ops/activation.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

struct Case {
  std::int64_t n, v, tile;
  int parts = 1;
  float smoothing = 0;
  double range = 3;  // of logits
};

constexpr float kScale = 0.25f;

double wanted(const Case& c, std::int64_t target, std::int64_t v) {
  return (v == target ? 1.0 - c.smoothing : 0.0) + double{c.smoothing} / static_cast<double>(c.v);
}

double log_sum_exp(std::span<const double> logits) {
  const double largest = std::ranges::max(logits);
  double sum = 0;
  for (double logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

void reference(const Case& c, Values& values, bool backward) {
  for (std::int64_t n = 0; n < c.n; ++n) {
    const std::span<const double> x(values["x"].data() + n * c.v, c.v);
    const double all = log_sum_exp(x);
    const auto target = static_cast<std::int64_t>(values["target"][n]);
    for (std::int64_t v = 0; v < c.v; ++v) {
      if (!backward) values["loss"][0] -= kScale * wanted(c, target, v) * (x[v] - all);
      if (backward)
        values["dx"][n * c.v + v] += kScale * (std::exp(x[v] - all) - wanted(c, target, v));
    }
  }
}

// Columns of a matrix, those of one tile.
Tensor tile_of(Context& ctx, const std::vector<double>& x_NV, const Case& c, const TileItems& items,
               std::int64_t columns) {
  std::vector<double> tile;
  for (std::int64_t n = 0; n < c.n; ++n)
    for (std::int64_t t = 0; t < columns; ++t)
      tile.push_back(x_NV[n * c.v + items.first + t * items.step]);
  Tensor tensor = ctx.empty(DType::f32, {c.n, columns});
  set_values(ctx, tensor, tile);
  return tensor;
}

template <class Visit>
void each_tile(const Case& c, int part, Visit&& visit) {
  const std::int64_t rows = (c.v - part + c.parts - 1) / c.parts;
  for (std::int64_t begin = 0; begin < rows; begin += c.tile)
    visit(TileItems{begin * c.parts + part, c.parts}, std::min(c.tile, rows - begin));
}

void run(Context& ctx, Tensors& t, const Case& c) {
  const std::vector<double> x_NV = get_values(ctx, t["x"]);
  Tensor state_RN4 = ctx.empty(DType::f64, {c.parts, c.n, kStateColumns});
  fill(ctx, state_RN4, 0);
  for (int part = 0; part < c.parts; ++part) {
    Tensor state = state_RN4.rows(part, part + 1).reshape({c.n, kStateColumns});
    each_tile(c, part, [&](const TileItems& items, std::int64_t columns) {
      Tensor logit = tile_of(ctx, x_NV, c, items, columns);
      add_to_softmax(ctx, state, logit, t["target"], items);
    });
  }
  Tensor state = ctx.empty(DType::f64, {c.n, kStateColumns});
  join_softmax(ctx, state, state_RN4);
  const SoftmaxTarget wanted{.items = c.v, .smoothing = c.smoothing, .scale = kScale};
  add_softmax_loss(ctx, t["loss"], state, wanted);
  std::vector<double> dx(c.n * c.v);
  for (int part = 0; part < c.parts; ++part)
    each_tile(c, part, [&](const TileItems& items, std::int64_t columns) {
      Tensor logit = tile_of(ctx, x_NV, c, items, columns);
      softmax_gradient(ctx, logit, state, t["target"], items, wanted);
      const std::vector<double> tile = get_values(ctx, logit);
      for (std::int64_t n = 0; n < c.n; ++n)
        for (std::int64_t i = 0; i < columns; ++i)
          dx[n * c.v + items.first + i * items.step] = tile[n * columns + i];
    });
  set_values(ctx, t["dx"], dx);
}

SEQRANK_OP_TEST(SoftmaxTiles, MatchReference) {
  for (const Case& c :
       {Case{1, 1, 4}, Case{3, 17, 16}, Case{5, 100, 32, 1, 0.1f}, Case{4, 61, 100, 4, 0.2f},
        Case{3, 5, 2, 7}, Case{9, 1000, 300, 2}, Case{2, 33, 16, 3, 0, 60}}) {
    OpCase op(fmt::format("N={} V={} tile={} parts={}", c.n, c.v, c.tile, c.parts), device);
    op.input("x", {c.n, c.v}, -c.range, c.range).integers("target", {c.n}, c.v);
    op.loss("loss");
    op.reference([=](Values& values) { reference(c, values, false); });
    op.reference_backward([=](Values& values) { reference(c, values, true); });
    op.run("plain", [=](Context& ctx, Tensors& t) { run(ctx, t, c); });
    op.check();
  }
}

SEQRANK_OP_TEST(SoftmaxTiles, RowsWithoutATargetHaveNoGradient) {
  Context ctx(device, 1);
  Tensor state = ctx.empty(DType::f64, {2, kStateColumns}), logit = ctx.empty(DType::f32, {2, 3});
  Tensor target = ctx.empty(DType::i32, {2});
  set_values(ctx, target, {-1, 1});
  set_values(ctx, logit, {NAN, 1, 2, 0, 0, 0});
  fill(ctx, state, 0);
  add_to_softmax(ctx, state, logit, target, {});
  set_values(ctx, logit, {NAN, 1, 2, 0, 0, 0});
  softmax_gradient(ctx, logit, state, target, {}, {.items = 3});
  const auto gradient = get_values(ctx, logit);
  for (int i : {0, 1, 2}) EXPECT_EQ(gradient[i], 0);
  EXPECT_NEAR(gradient[4], -2.0 / 3, 1e-6);
}

// A tile of which a row's logits are all -inf says nothing of it.
SEQRANK_OP_TEST(SoftmaxTiles, ItemsOfMinusInfinityAreNotThere) {
  Context ctx(device, 1);
  Tensor state = ctx.empty(DType::f64, {1, kStateColumns}), logit = ctx.empty(DType::f32, {1, 2});
  Tensor target = ctx.empty(DType::i32, {1}), loss = ctx.empty(DType::f64, {1});
  set_values(ctx, target, {3});
  fill(ctx, state, 0);
  fill(ctx, loss, 0);
  set_values(ctx, logit, {-INFINITY, -INFINITY});
  add_to_softmax(ctx, state, logit, target, {0, 1});
  set_values(ctx, logit, {-500, -500});
  add_to_softmax(ctx, state, logit, target, {2, 1});
  add_softmax_loss(ctx, loss, state, {.items = 4});
  EXPECT_NEAR(get_values(ctx, loss)[0], std::log(2.0), 1e-6);
}

}  // namespace
}  // namespace seqrank
