// Ids sorted with their events, and the sums over the events of an id: the gradient of looking the
// unique rows up; the same bits whatever the number of threads.
#include "backend/ops/unique_rows.h"

#include <gmock/gmock.h>

#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"
#include "backend/transfer.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

TEST(UniqueRows, SortsIdsAndKeepsTheOrderOfTheirEvents) {
  Arena arena;
  const std::vector<std::int32_t> ids = {7, 2, 7, 0, 2, 7, 2147483647};
  const UniqueRows rows = unique_rows(arena, ids);
  EXPECT_THAT(rows.id_U.span<std::int32_t>(), ElementsAre(0, 2, 7, 2147483647));
  EXPECT_THAT(rows.place_N.span<std::int32_t>(), ElementsAre(2, 1, 2, 0, 1, 2, 3));
  EXPECT_THAT(rows.order_N.span<std::int32_t>(), ElementsAre(3, 1, 4, 0, 2, 5, 6));
  EXPECT_THAT(rows.offset_U1.span<std::int32_t>(), ElementsAre(0, 1, 3, 6, 7));
}

TEST(UniqueRows, SeveralListsShareTheirIds) {
  Arena arena;
  const std::vector<std::int32_t> a = {7, 2, 7}, b = {0, 9}, c;
  const auto rows = shared_unique_rows(arena, {a, b, c});
  ASSERT_EQ(rows.size(), 3u);
  for (const UniqueRows& list : rows) {
    EXPECT_THAT(list.id_U.span<std::int32_t>(), ElementsAre(0, 2, 7, 9));
    EXPECT_EQ(list.id_U.raw(), rows[0].id_U.raw());
  }
  EXPECT_THAT(rows[0].place_N.span<std::int32_t>(), ElementsAre(2, 1, 2));
  EXPECT_THAT(rows[0].order_N.span<std::int32_t>(), ElementsAre(1, 0, 2));
  EXPECT_THAT(rows[0].offset_U1.span<std::int32_t>(), ElementsAre(0, 0, 1, 3, 3));
  EXPECT_THAT(rows[1].place_N.span<std::int32_t>(), ElementsAre(0, 3));
  EXPECT_THAT(rows[1].offset_U1.span<std::int32_t>(), ElementsAre(0, 1, 1, 1, 2));
  EXPECT_THAT(rows[2].offset_U1.span<std::int32_t>(), ElementsAre(0, 0, 0, 0, 0));
}

// Rows that only another list looks up: first ones, last ones, and many in between.
SEQRANK_OP_TEST(UniqueRows, RowsWithoutEventsBecomeZero) {
  for (auto [events, others] : {std::pair{0, 40}, {1, 3}, {40, 700}, {700, 40}}) {
    Context ctx(device, 1);
    std::vector<std::int32_t> ids, more;
    for (int i = 0; i < events; ++i) ids.push_back(1000 + i * 37 % 97 * 5);
    for (int i = 0; i < others; ++i) more.push_back(900 + i * 7 % 811);
    const UniqueRows host = shared_unique_rows(ctx.host_arena(), {ids, more})[0];
    const UniqueRows rows = {to_device(ctx, host.id_U), to_device(ctx, host.place_N),
                             to_device(ctx, host.order_N), to_device(ctx, host.offset_U1)};
    const std::int64_t u = rows.id_U.dim(0);
    Tensor x_ND = ctx.empty(DType::f32, {events, 3}), sum_UD = ctx.empty(DType::f32, {u, 3});
    fill(ctx, x_ND, 2);
    fill(ctx, sum_UD, NAN);
    sum_rows(ctx, sum_UD, x_ND, rows);
    std::vector<double> want(3 * u, 0);
    for (std::int32_t place : host.place_N.span<std::int32_t>())
      for (int d = 0; d < 3; ++d) want[3 * place + d] += 2;
    EXPECT_EQ(get_values(ctx, sum_UD), want) << events << " events, " << others << " others";
  }
}

TEST(UniqueRows, NoIdsAreNoRows) {
  Arena arena;
  const UniqueRows rows = unique_rows(arena, {});
  EXPECT_EQ(rows.id_U.numel(), 0);
  EXPECT_EQ(rows.place_N.numel(), 0);
  EXPECT_THAT(rows.offset_U1.span<std::int32_t>(), ElementsAre(0));
}

// In the order of the sum that is promised, which fp32 shows.
TEST(UniqueRows, SumsInRisingOrderOfEvents) {
  Context ctx(Device::cpu, 1);
  const std::vector<std::int32_t> ids = {5, 1, 5, 5};
  const UniqueRows rows = unique_rows(ctx.arena(), ids);
  Tensor x_ND = ctx.empty(DType::f32, {4, 1}), sum_UD = ctx.empty(DType::f32, {2, 1});
  set_values(x_ND, {1e8, 3, -1e8, 1});
  sum_rows(ctx, sum_UD, x_ND, rows);
  EXPECT_THAT(get_values(sum_UD), ElementsAreArray({3.0, 1.0}));
}

UniqueRows rows_of(Context& ctx, const Tensor& host_id_N) {
  const UniqueRows host = unique_rows(ctx.host_arena(), host_id_N.span<std::int32_t>());
  return {to_device(ctx, host.id_U), to_device(ctx, host.place_N), to_device(ctx, host.order_N),
          to_device(ctx, host.offset_U1)};
}

// 700 of 3: a row has more events than what one thread adds up; 16 and 17 of one are its edge.
constexpr std::int64_t kSizes[][3] = {{1, 1, 1},    {7, 3, 5},  {300, 11, 33}, {0, 4, 3}, {6, 5, 0},
                                      {700, 3, 16}, {16, 1, 3}, {17, 1, 3},    {33, 2, 1}};

SEQRANK_OP_TEST(UniqueRows, MatchesReference) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], below = size[1], d = size[2];
    OpCase c(fmt::format("n={} ids below {} d={}", n, below, d), device);
    c.input("row", {below, d}).integers("id", {n}, below).output("y", {n, d});
    c.reference([=](Values& v) {
      const auto &row = v["row"], &id = v["id"];
      auto& y = v["y"];
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          y[i * d + j] = row[static_cast<std::int64_t>(id[i]) * d + j];
    });
    c.reference_backward([=](Values& v) {
      const auto &dy = v["dy"], &id = v["id"];
      auto& drow = v["drow"];
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          drow[static_cast<std::int64_t>(id[i]) * d + j] += dy[i * d + j];
    });
    c.run("gathered by place, summed by row", [=](Context& ctx, Tensors& t) {
      const UniqueRows rows = rows_of(ctx, to_host(ctx, t["id"]));
      const std::int64_t u = rows.id_U.dim(0);
      Tensor row_UD = ctx.empty(DType::f32, {u, d}), drow_UD = ctx.empty(DType::f32, {u, d});
      gather_rows(ctx, row_UD, t["row"], rows.id_U);
      gather_rows(ctx, t["y"], row_UD, rows.place_N);
      sum_rows(ctx, drow_UD, t["dy"], rows);
      fill(ctx, t["drow"], 0);
      scatter_add_rows(ctx, t["drow"], rows.id_U, drow_UD);
    });
    c.check();
  }
}

std::vector<double> summed(int threads) {
  const std::int64_t n = 4000, d = 24;
  Context ctx(Device::cpu, threads);
  std::vector<std::int32_t> ids(n);
  for (std::int64_t i = 0; i < n; ++i)  // half of all events are of one id
    ids[i] = i % 2 == 0 ? 3 : static_cast<std::int32_t>(i * i % 37);
  const UniqueRows rows = unique_rows(ctx.arena(), ids);
  Tensor x = ctx.empty(DType::f32, {n, d});
  Tensor sum = ctx.empty(DType::f32, {rows.id_U.dim(0), d});
  std::vector<double> values(n * d);
  for (std::int64_t i = 0; i < n * d; ++i) values[i] = 1.0 / (i % 1013 + 1);
  set_values(x, values);
  sum_rows(ctx, sum, x, rows);
  return get_values(sum);
}

TEST(UniqueRows, SumsHaveTheSameBitsAtAnyThreadCount) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer cannot see OpenMP's own barriers";
#endif
  const std::vector<double> one = summed(1);
  EXPECT_EQ(one, summed(2));
  EXPECT_EQ(one, summed(3));
}

}  // namespace
}  // namespace seqrank
