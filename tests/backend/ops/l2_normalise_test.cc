// Row normalisation against a plain double reference.
#include "backend/ops/l2_normalise.h"

#include <cmath>

#include "backend/ops/activation.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

SEQRANK_OP_TEST(L2Normalise, MatchesReference) {
  for (auto [n, width] : {std::pair{0, 3}, {1, 1}, {7, 5}, {130, 64}}) {
    OpCase c(fmt::format("n={} width={}", n, width), device);
    c.input("x", {n, width}).output("y", {n, width});
    const int rows = n, columns = width;
    auto norm = [=](Values& v, int r) {
      double sum = 0;
      for (int d = 0; d < columns; ++d) sum += v["x"][r * columns + d] * v["x"][r * columns + d];
      return std::sqrt(sum);
    };
    c.reference([=](Values& v) {
      for (int r = 0; r < rows; ++r) {
        const double length = norm(v, r);
        for (int i = r * columns; i < (r + 1) * columns; ++i) v["y"][i] = v["x"][i] / length;
      }
    });
    c.reference_backward([=](Values& v) {
      for (int r = 0; r < rows; ++r) {
        const double length = norm(v, r);
        double along = 0;
        for (int d = 0; d < columns; ++d)
          along += v["dy"][r * columns + d] * v["x"][r * columns + d] / length;
        for (int d = 0; d < columns; ++d) {
          const int i = r * columns + d;
          v["dx"][i] += (v["dy"][i] - v["x"][i] / length * along) / length;
        }
      }
    });
    c.run("plain", [](Context& ctx, Tensors& t) {
      Tensor norm_N = ctx.empty(DType::f32, {t["x"].dim(0)});
      l2_normalise(ctx, t["y"], norm_N, t["x"]);
      l2_normalise_backward(ctx, t["dx"], t["dy"], t["y"], norm_N);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(L2Normalise, ZeroRowStaysZeroAndHasNoGradient) {
  Context ctx(device, 1);
  Tensor x = ctx.empty(DType::f32, {1, 4}), y = ctx.empty(DType::f32, {1, 4});
  Tensor norm = ctx.empty(DType::f32, {1});
  fill(ctx, x, 0);
  l2_normalise(ctx, y, norm, x);
  EXPECT_EQ(get_values(ctx, y), std::vector<double>(4));
  Tensor dx = ctx.empty(DType::f32, {1, 4}), dy = ctx.empty(DType::f32, {1, 4});
  fill(ctx, dy, 1e30f);
  l2_normalise_backward(ctx, dx, dy, y, norm);
  EXPECT_EQ(get_values(ctx, dx), std::vector<double>(4));
}

}  // namespace
}  // namespace seqrank
