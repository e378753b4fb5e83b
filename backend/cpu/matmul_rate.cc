// Times matrix products. Shapes alternate, so that a busy moment of the machine does not hit one
// of them alone; the best time of each counts.
#include "backend/cpu/matmul_rate.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "backend/cpu/gemm.h"

namespace seqrank::cpu {
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
  std::ranges::fill(a.span<float>(), 0.5f);
  std::ranges::fill(b.span<float>(), 0.25f);
  const auto best_of_round = [&] {
    double best = 0;
    for (const Product& p : kProducts) {
      const int repeats = static_cast<int>(std::max(1.0, kFlopsAtOnce / p.flops()));
      const double begin = seconds_now();
      for (int r = 0; r < repeats; ++r)
        gemm(p.m, p.n, p.k, 1, {a.data<float>(), p.k}, {b.data<float>(), p.n}, 0, c.data<float>(),
             p.n);
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

}  // namespace seqrank::cpu
