// top_k, rank_of and mask_items against whole sorts, and their edges: ties, -inf, NaN, K > V.
#include "backend/ops/top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr double kInf = INFINITY;

Tensor tensor_of(Context& ctx, DType type, Shape shape, const std::vector<double>& values) {
  Tensor tensor = ctx.empty(type, shape);
  set_values(ctx, tensor, values);
  return tensor;
}

void reference_top_k(Values& values, std::int64_t b, std::int64_t v, std::int64_t k) {
  for (std::int64_t row = 0; row < b; ++row) {
    const double* const score = values["score"].data() + row * v;
    std::vector<std::int64_t> order(v);
    std::iota(order.begin(), order.end(), 0);
    std::erase_if(order, [&](std::int64_t i) { return score[i] == -kInf; });
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t i, std::int64_t j) { return score[i] > score[j]; });
    for (std::int64_t i = 0; i < k; ++i) {
      const bool there = i < static_cast<std::int64_t>(order.size());
      values["value"][row * k + i] = there ? score[order[i]] : -kInf;
      values["id"][row * k + i] = there ? static_cast<double>(order[i]) : -1;
    }
  }
}

void reference_rank(Values& values, std::int64_t b, std::int64_t v) {
  for (std::int64_t row = 0; row < b; ++row) {
    const double* const score = values["score"].data() + row * v;
    const auto target = static_cast<std::int64_t>(values["target"][row]);
    values["rank"][row] = 1;
    for (std::int64_t i = 0; i < v; ++i) {
      if (i == target) continue;
      if (score[i] >= score[target]) values["rank"][row] += 1;
      if (score[i] == score[target]) values["tied"][row] += 1;
    }
  }
}

// Few distinct scores, so that ties reach over the edge of K and over chunks; some are -inf.
std::vector<double> coarse_scores(std::int64_t n, int distinct) {
  std::vector<double> scores(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t mixed = (i * 2654435761LL >> 7) % 1009;
    scores[i] = mixed % 11 == 0 ? -kInf : static_cast<double>(mixed % distinct) - distinct / 2;
  }
  return scores;
}

SEQRANK_OP_TEST(TopK, MatchesSort) {
  struct Sizes {
    std::int64_t b, v, k;
    int distinct;
  };
  for (auto [b, v, k, distinct] :
       {Sizes{0, 5, 2, 3}, Sizes{1, 1, 1, 3}, Sizes{2, 17, 3, 3}, Sizes{3, 17, 40, 1000},
        Sizes{9, 1000, 10, 5}, Sizes{9, 1003, 100, 1000}, Sizes{1, 300, 0, 3}}) {
    OpCase c(fmt::format("B={} V={} K={} distinct={}", b, v, k, distinct), device);
    c.constant_values("score", {b, v}, DType::f32, coarse_scores(b * v, distinct));
    c.side_output("value", {b, k}).side_output("id", {b, k}, DType::i32);
    c.reference([=](Values& values) { reference_top_k(values, b, v, k); });
    c.run("plain", [](Context& ctx, Tensors& t) { top_k(ctx, t["value"], t["id"], t["score"]); });
    c.check();
  }
}

// Rising scores replace the candidates again and again.
SEQRANK_OP_TEST(TopK, RisingScores) {
  Context ctx(device, 1);
  std::vector<double> scores(5000);
  std::iota(scores.begin(), scores.end(), 0);
  Tensor value = ctx.empty(DType::f32, {1, 3}), id = ctx.empty(DType::i32, {1, 3});
  top_k(ctx, value, id, tensor_of(ctx, DType::f32, {1, 5000}, scores));
  EXPECT_EQ(get_values(ctx, id), (std::vector<double>{4999, 4998, 4997}));
}

SEQRANK_OP_TEST(TopK, NanNeverAppears) {
  Context ctx(device, 1);
  Tensor value = ctx.empty(DType::f32, {1, 3}), id = ctx.empty(DType::i32, {1, 3});
  top_k(ctx, value, id, tensor_of(ctx, DType::f32, {1, 4}, {NAN, 1, NAN, 2}));
  EXPECT_EQ(get_values(ctx, id), (std::vector<double>{3, 1, -1}));
  EXPECT_EQ(get_values(ctx, value), (std::vector<double>{2, 1, -kInf}));
  // Nor where there are as many other scores as wanted, and all of them very small.
  const double low = -std::numeric_limits<float>::max();
  top_k(ctx, value, id, tensor_of(ctx, DType::f32, {1, 6}, {NAN, low, -kInf, low, low, NAN}));
  EXPECT_EQ(get_values(ctx, id), (std::vector<double>{1, 3, 4}));
}

SEQRANK_OP_TEST(TopK, ZerosOfBothSignsAreEqualAndInfinityIsBest) {
  Context ctx(device, 1);
  Tensor value = ctx.empty(DType::f32, {1, 3}), id = ctx.empty(DType::i32, {1, 3});
  top_k(ctx, value, id, tensor_of(ctx, DType::f32, {1, 5}, {-1, -0.0, 0, -0.0, kInf}));
  EXPECT_EQ(get_values(ctx, id), (std::vector<double>{4, 1, 2}));
}

SEQRANK_OP_TEST(RankOf, MatchesCount) {
  for (auto [b, v, distinct] : {std::array{0, 5, 3}, {1, 1, 3}, {7, 17, 3}, {9, 1000, 500}}) {
    OpCase c(fmt::format("B={} V={} distinct={}", b, v, distinct), device);
    c.constant_values("score", {b, v}, DType::f32, coarse_scores(std::int64_t{b} * v, distinct));
    c.integers("target", {b}, v);
    c.side_output("rank", {b}, DType::i32).side_output("tied", {b}, DType::i32);
    c.reference([b = b, v = v](Values& values) { reference_rank(values, b, v); });
    c.run("plain", [](Context& ctx, Tensors& t) {
      rank_of(ctx, t["rank"], t["tied"], t["score"], t["target"]);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(RankOf, NanIsBetterThanTheTarget) {
  Context ctx(device, 1);
  Tensor rank = ctx.empty(DType::i32, {3}), tied = ctx.empty(DType::i32, {3});
  rank_of(ctx, rank, tied,
          tensor_of(ctx, DType::f32, {3, 4}, {5, NAN, 1, 5, NAN, NAN, 1, 2, -kInf, 3, -kInf, 1}),
          tensor_of(ctx, DType::i32, {3}, {0, 1, 0}));
  EXPECT_EQ(get_values(ctx, rank), (std::vector<double>{3, 4, 4}));
  EXPECT_EQ(get_values(ctx, tied), (std::vector<double>{1, 0, 1}));
}

SEQRANK_OP_TEST(MaskItems, LeavesTheKeptOne) {
  Context ctx(device, 2);
  const std::vector<double> scores{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Tensor item = tensor_of(ctx, DType::i32, {5}, {0, 2, 2, 1, 0});
  const Tensor offset = tensor_of(ctx, DType::i32, {4}, {0, 3, 3, 5});
  Tensor all = tensor_of(ctx, DType::f32, {3, 3}, scores);
  mask_items(ctx, all, item, offset, none);
  EXPECT_EQ(get_values(ctx, all), (std::vector<double>{-kInf, 2, -kInf, 4, 5, 6, -kInf, -kInf, 9}));
  Tensor but_one = tensor_of(ctx, DType::f32, {3, 3}, scores);
  mask_items(ctx, but_one, item, offset, tensor_of(ctx, DType::i32, {3}, {2, 0, 2}));
  EXPECT_EQ(get_values(ctx, but_one), (std::vector<double>{-kInf, 2, 3, 4, 5, 6, -kInf, -kInf, 9}));
}

TEST(MaskItems, RefusesForeignItems) {
  Context ctx(Device::cpu, 1);
  Tensor score = tensor_of(ctx, DType::f32, {1, 3}, {1, 2, 3});
  const Tensor offset = tensor_of(ctx, DType::i32, {2}, {0, 1});
  for (double bad : {-1.0, 3.0})
    EXPECT_THROW(mask_items(ctx, score, tensor_of(ctx, DType::i32, {1}, {bad}), offset, none),
                 Error);
}

}  // namespace
}  // namespace seqrank
