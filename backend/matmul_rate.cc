// Times matrix products: a short trial finds the fastest shape, whose sustained rate is the result.
#include "backend/matmul_rate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

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
// Large enough that waiting for each product costs a GPU little.
constexpr std::array kProductsOfGpu{Product{4096, 2048, 2048}};
constexpr double kTrialSeconds = 0.05;
constexpr double kSeconds = 0.5;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double measured_matmul_rate(Context& ctx) {
  std::span<const Product> products = kProducts;
  if (ctx.device() == Device::cuda) products = kProductsOfGpu;
  std::int64_t most_a = 0, most_b = 0, most_c = 0;
  for (const Product& p : products) {
    most_a = std::max(most_a, p.m * p.k);
    most_b = std::max(most_b, p.k * p.n);
    most_c = std::max(most_c, p.m * p.n);
  }
  Tensor a = ctx.empty(DType::f32, {most_a}, Tag::workspace);
  Tensor b = ctx.empty(DType::f32, {most_b}, Tag::workspace);
  Tensor c = ctx.empty(DType::f32, {most_c}, Tag::workspace);
  fill(ctx, a, 0.5f);
  fill(ctx, b, 0.25f);
  // FLOP/s of products of one shape that go on for `seconds`.
  const auto rate_of = [&](const Product& p, double seconds) {
    const Tensor a_MK = a.flat_range(0, p.m * p.k).reshape({p.m, p.k});
    const Tensor b_KN = b.flat_range(0, p.k * p.n).reshape({p.k, p.n});
    Tensor c_MN = c.flat_range(0, p.m * p.n).reshape({p.m, p.n});
    const double begin = seconds_now();
    double flops = 0;
    do {
      matmul(ctx, c_MN, a_MK, Transpose::no, b_KN, Transpose::no, 1, 0);
      ctx.compute().synchronize();
      flops += p.flops();
    } while (seconds_now() < begin + seconds);
    return flops / (seconds_now() - begin);
  };
  const Product* best = nullptr;
  double best_rate = 0;
  for (const Product& p : products) {
    rate_of(p, 0);  // generates the library's kernel, touches the memory
    const double rate = rate_of(p, kTrialSeconds);
    if (rate > best_rate) {
      best_rate = rate;
      best = &p;
    }
  }
  return rate_of(*best, kSeconds);
}

}  // namespace seqrank
