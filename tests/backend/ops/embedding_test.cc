// Rows gathered, and rows added by distinct ids.
#include "backend/ops/embedding.h"

#include <algorithm>

#include "backend/bf16.h"
#include "backend/ops/cast.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr std::int64_t kSizes[][3] = {{1, 1, 1}, {7, 3, 5},  {300, 11, 33},   {0, 4, 3},
                                      {6, 5, 0}, {9, 4, 64}, {600, 700, 132}, {5, 6, 300}};

SEQRANK_OP_TEST(Embedding, GathersRows) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], rows = size[1], d = size[2];
    OpCase c(fmt::format("n={} rows={} d={}", n, rows, d), device);
    c.constant("table", {rows, d}).integers("id", {n}, rows).output("y", {n, d});
    c.output("of_part", {n, d}).constant("storage", {rows * d + 1});
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t row = static_cast<std::int64_t>(v["id"][i]) * d;
        for (std::int64_t j = 0; j < d; ++j) {
          v["y"][i * d + j] = v["table"][row + j];
          v["of_part"][i * d + j] = v["storage"][1 + row + j];
        }
      }
    });
    c.run("aligned or not", [=](Context& ctx, Tensors& t) {
      gather_rows(ctx, t["y"], t["table"], t["id"]);
      const Tensor part = t["storage"].flat_range(1, 1 + rows * d).reshape({rows, d});
      gather_rows(ctx, t["of_part"], part, t["id"]);
    });
    c.check();
  }
}

// Exact: what is gathered of rounded rows is what was rounded.
SEQRANK_OP_TEST(Embedding, GathersRowsOfBf16) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], rows = size[1], d = size[2];
    OpCase c(fmt::format("n={} rows={} d={}", n, rows, d), device);
    c.constant("table", {rows * d + 1}).integers("id", {n}, rows);
    c.output("y", {n, d}).output("of_part", {n, d});
    const auto rounded = [](double x) { return from_bf16(to_bf16(static_cast<float>(x))); };
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t row = static_cast<std::int64_t>(v["id"][i]) * d;
        for (std::int64_t j = 0; j < d; ++j) {
          v["y"][i * d + j] = rounded(v["table"][row + j]);
          v["of_part"][i * d + j] = rounded(v["table"][1 + row + j]);
        }
      }
    });
    c.tolerance(0).run("aligned or not", [=](Context& ctx, Tensors& t) {
      Tensor table = ctx.empty(DType::bf16, t["table"].shape());
      cast(ctx, table, t["table"]);
      gather_rows(ctx, t["y"], table.flat_range(0, rows * d).reshape({rows, d}), t["id"]);
      const Tensor part = table.flat_range(1, 1 + rows * d).reshape({rows, d});
      gather_rows(ctx, t["of_part"], part, t["id"]);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(Embedding, AddsRows) {
  for (const auto& size : kSizes) {
    const std::int64_t rows = std::max(size[0], size[1]), n = std::min(size[0], size[1]);
    const std::int64_t d = size[2];
    std::vector<double> ids(n);  // 1009 is prime, so they are distinct
    for (std::int64_t i = 0; i < n; ++i) ids[i] = static_cast<double>((i + 1) * 1009 % rows);
    OpCase c(fmt::format("n={} rows={} d={}", n, rows, d), device);
    c.constant("y", {n, d}).constant_values("id", {n}, DType::i32, ids);
    c.output("table", {rows, d}).added("table");
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          v["table"][static_cast<std::int64_t>(ids[i]) * d + j] += v["y"][i * d + j];
    });
    c.run("plain",
          [](Context& ctx, Tensors& t) { scatter_add_rows(ctx, t["table"], t["id"], t["y"]); });
    c.check();
  }
}

}  // namespace
}  // namespace seqrank
