// Times matrix products. Shapes alternate, so that a busy moment of the machine does not hit one
// of them alone; the best time of each counts.
#include "backend/matmul_rate.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "backend/ops/activation.h"
#include "backend/ops/matmul.h"

namespace seqrank {
namespace {

struct Product {
  std::int64_t m, n, k;
  double flops() const { return 2.0 * m * n * k; }
};

// The textbook square, and products with one short side, which keep their operands in L2 and are
// a little faster on some processors.
constexpr std::array kProducts{Product{1024, 1024, 1024}, Product{512, 512, 512},
                               Product{128, 3072, 64}, Product{64, 3072, 128}};
constexpr double kSeconds = 0.5;
constexpr double kFlopsAtOnce = 5e8;  // some milliseconds: well above the clock's resolution

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double measured_matmul_rate(Context& ctx) {
  std::int64_t most_a = 0, most_b = 0, most_c = 0;
  for (const Product& p : kProducts) {
    most_a = std::max(most_a, p.m * p.k);
    most_b = std::max(most_b, p.k * p.n);
    most_c = std::max(most_c, p.m * p.n);
  }
  Tensor a = ctx.empty(DType::f32, {most_a}, Tag::workspace);
  Tensor b = ctx.empty(DType::f32, {most_b}, Tag::workspace);
  Tensor c = ctx.empty(DType::f32, {most_c}, Tag::workspace);
  fill(ctx, a, 0.5f);
  fill(ctx, b, 0.25f);
  const auto best_of_round = [&] {
    double best = 0;
    for (const Product& p : kProducts) {
      const int repeats = static_cast<int>(std::max(1.0, kFlopsAtOnce / p.flops()));
      const double begin = seconds_now();
      const Tensor a_MK = a.flat_range(0, p.m * p.k).reshape({p.m, p.k});
      const Tensor b_KN = b.flat_range(0, p.k * p.n).reshape({p.k, p.n});
      Tensor c_MN = c.flat_range(0, p.m * p.n).reshape({p.m, p.n});
      for (int r = 0; r < repeats; ++r)
        matmul(ctx, c_MN, a_MK, Transpose::no, b_KN, Transpose::no, 1, 0);
      ctx.compute().synchronize();
      best = std::max(best, repeats * p.flops() / (seconds_now() - begin));
    }
    return best;
  };
  best_of_round();  // generates the library's kernels, touches the memory
  double best = 0;
  const double end = seconds_now() + kSeconds;
  do best = std::max(best, best_of_round());
  while (seconds_now() < end);
  return best;
}

}  // namespace seqrank
