// Prefix pooling of every kind against a plain double reference.
#include "backend/ops/prefix_pool.h"

#include <algorithm>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

const std::vector<std::vector<double>> kPackings = {{0}, {0, 1}, {0, 3, 3, 4, 9}, {0, 17}};

double pooled(Pool kind, const std::vector<double>& x, int width, int begin, int t, int d) {
  double sum = 0, most = x[begin * width + d];
  for (int j = begin; j <= t; ++j) {
    sum += x[j * width + d];
    most = std::max(most, x[j * width + d]);
  }
  if (kind == Pool::sum) return sum;
  if (kind == Pool::mean) return sum / (t - begin + 1);
  return kind == Pool::max ? most : x[t * width + d];
}

// d pooled(t) / d x[j].
double share(Pool kind, const std::vector<double>& x, int width, int begin, int t, int j, int d) {
  if (kind == Pool::sum) return 1;
  if (kind == Pool::mean) return 1.0 / (t - begin + 1);
  if (kind == Pool::last) return j == t;
  return x[j * width + d] == pooled(kind, x, width, begin, t, d);
}

SEQRANK_OP_TEST(PrefixPool, MatchesReference) {
  for (Pool kind : {Pool::last, Pool::sum, Pool::mean, Pool::max}) {
    for (const auto& offset : kPackings) {
      const int width = 5, n = static_cast<int>(offset.back());
      OpCase c(fmt::format("kind={} n={}", static_cast<int>(kind), n), device);
      c.input("x", {n, width});
      c.constant_values("offset", {static_cast<std::int64_t>(offset.size())}, DType::i32, offset);
      c.output("y", {n, width});
      auto each = [=](auto&& f) {
        for (std::size_t b = 0; b + 1 < offset.size(); ++b)
          for (int t = offset[b]; t < offset[b + 1]; ++t)
            for (int d = 0; d < width; ++d) f(static_cast<int>(offset[b]), t, d);
      };
      c.reference([=](Values& v) {
        each([&](int begin, int t, int d) {
          v["y"][t * width + d] = pooled(kind, v["x"], width, begin, t, d);
        });
      });
      c.reference_backward([=](Values& v) {
        each([&](int begin, int t, int d) {
          for (int j = begin; j <= t; ++j)
            v["dx"][j * width + d] +=
                v["dy"][t * width + d] * share(kind, v["x"], width, begin, t, j, d);
        });
      });
      c.run("plain", [=](Context& ctx, Tensors& t) {
        Tensor argmax = ctx.empty(DType::i32, t["x"].shape());
        prefix_pool(ctx, kind, t["y"], argmax, t["x"], t["offset"]);
        prefix_pool_backward(ctx, kind, t["dx"], t["dy"], argmax, t["offset"]);
      });
      c.check();
    }
  }
}

}  // namespace
}  // namespace seqrank
