// Rows gathered and added back; the same bits whatever the number of threads.
#include "backend/ops/embedding.h"

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr std::int64_t kSizes[][3] = {{1, 1, 1}, {7, 3, 5}, {2000, 11, 33},
                                      {0, 4, 3}, {6, 5, 0}, {5000, 3, 16}};

SEQRANK_OP_TEST(Embedding, MatchesReference) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], rows = size[1], d = size[2];
    OpCase c(fmt::format("n={} rows={} d={}", n, rows, d), device);
    c.input("table", {rows, d}).integers("id", {n}, rows).output("y", {n, d}).added("dtable");
    c.reference([=](Values& v) {
      const auto &table = v["table"], &id = v["id"];
      auto& y = v["y"];
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          y[i * d + j] = table[static_cast<std::int64_t>(id[i]) * d + j];
    });
    c.reference_backward([=](Values& v) {
      const auto &dy = v["dy"], &id = v["id"];
      auto& dtable = v["dtable"];
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          dtable[static_cast<std::int64_t>(id[i]) * d + j] += dy[i * d + j];
    });
    c.run("gather and scatter", [](Context& ctx, Tensors& t) {
      gather_rows(ctx, t["y"], t["table"], t["id"]);
      scatter_add_rows(ctx, t["dtable"], t["id"], t["dy"]);
    });
    c.check();
  }
}

std::vector<double> scatter(int threads) {
  const std::int64_t n = 4000, rows = 37, d = 24;
  Context ctx(Device::cpu, threads);
  Tensor table = ctx.empty(DType::f32, {rows, d}), y = ctx.empty(DType::f32, {n, d});
  Tensor id = ctx.empty(DType::i32, {n});
  set_values(table, std::vector<double>(rows * d, 0.1));
  std::vector<double> values(n * d), ids(n);
  for (std::int64_t i = 0; i < n * d; ++i) values[i] = 1.0 / (i % 1013 + 1);
  for (std::int64_t i = 0; i < n; ++i) ids[i] = static_cast<double>((i * i) % rows);
  set_values(y, values);
  set_values(id, ids);
  scatter_add_rows(ctx, table, id, y);
  return get_values(table);
}

TEST(Embedding, ScatterHasTheSameBitsAtAnyThreadCount) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer cannot see OpenMP's own barriers";
#endif
  const std::vector<double> one = scatter(1);
  EXPECT_EQ(one, scatter(2));
  EXPECT_EQ(one, scatter(3));
}

}  // namespace
}  // namespace seqrank
