// Products row by row against a plain double reference.
#include "backend/ops/row_dot.h"

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

SEQRANK_OP_TEST(RowDot, MatchesReference) {
  for (auto [n, d] : {std::pair{0, 3}, {1, 1}, {7, 5}, {4, 0}, {130, 67}}) {
    const std::int64_t rows = n, width = d;
    OpCase c(fmt::format("n={} d={}", rows, width), device);
    c.input("a", {rows, width}).input("b", {rows, width}).output("y", {rows});
    c.reference([=](Values& v) {
      for (std::int64_t i = 0; i < rows * width; ++i) v["y"][i / width] += v["a"][i] * v["b"][i];
    });
    c.reference_backward([=](Values& v) {
      for (std::int64_t i = 0; i < rows * width; ++i) {
        v["da"][i] += v["dy"][i / width] * v["b"][i];
        v["db"][i] += v["dy"][i / width] * v["a"][i];
      }
    });
    c.run("plain", [](Context& ctx, Tensors& t) {
      row_dot(ctx, t["y"], t["a"], t["b"]);
      row_dot_backward(ctx, t["da"], t["db"], t["dy"], t["a"], t["b"]);
    });
    c.check();
  }
}

}  // namespace
}  // namespace seqrank
