// AdamW against its definition in double, and the decisions of clip and finite check.
#include "backend/ops/optimiser.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr float kRate = 0.01f;

// Parts of n elements, an empty one and one of a single element among them; how they decay and what
// multiplies their rate.
std::vector<double> part_ends(std::int64_t n) {
  const auto end = static_cast<double>(n);
  return {std::floor(end / 3), std::floor(end / 3), std::floor(end / 2),
          std::min(std::floor(end / 2) + 1, end), end};
}
const std::vector<double> kDecays = {0.125, 9, 0, 0.25, 0.5};
const std::vector<double> kRates = {1, 7, 0.5, 2, 0.125};

std::size_t part_of(std::int64_t element, std::int64_t n) {
  const std::vector<double> ends = part_ends(n);
  return static_cast<std::size_t>(std::ranges::upper_bound(ends, static_cast<double>(element)) -
                                  ends.begin());
}

// One update written as in the paper (algorithm 2), with the schedule's factor at one.
void reference(Values& v, std::int64_t n, double factor, std::int64_t updates) {
  const AdamW o;
  const double b1 = o.beta1, b2 = o.beta2;
  for (std::int64_t i = 0; i < n; ++i) {
    const double g = v["g"][i] * factor;
    const double m = b1 * v["m0"][i] + (1 - b1) * g;
    const double s = b2 * v["v0"][i] + (1 - b2) * g * g;
    const double m_hat = m / (1 - std::pow(b1, updates)), v_hat = s / (1 - std::pow(b2, updates));
    const double w = v["w0"][i], decay = kDecays[part_of(i, n)],
                 rate = kRate * kRates[part_of(i, n)];
    v["m"][i] = m;
    v["v"][i] = s;
    v["w"][i] = w - rate * (m_hat / (std::sqrt(v_hat) + o.epsilon) + decay * w);
  }
}

void check_adamw(Device device, std::int64_t n, std::int64_t updates, double factor) {
  OpCase c(fmt::format("n={} updates={} factor={}", n, updates, factor), device);
  c.constant("g", {n}).constant("w0", {n}).constant("m0", {n}, -0.1, 0.1);
  c.constant("v0", {n}, 0, 0.01).constant_values("scale", {1}, DType::f32, {factor});
  c.constant_values("decay", {5}, DType::f32, kDecays);
  c.constant_values("rates", {5}, DType::f32, kRates);
  c.constant_values("end", {5}, DType::i64, part_ends(n));
  c.output("w", {n}).output("m", {n}).output("v", {n});
  c.reference([=](Values& v) {
    if (factor != 0) return reference(v, n, factor, updates);
    v["w"] = v["w0"];
    v["m"] = v["m0"];
    v["v"] = v["v0"];
  });
  c.run("adamw", [=](Context& ctx, Tensors& t) {
    t["w"] = t["w0"];
    t["m"] = t["m0"];
    t["v"] = t["v0"];
    adamw(ctx, t["w"], t["m"], t["v"], t["g"], t["scale"], AdamW{}, kRate,
          {t["decay"], t["rates"], t["end"]}, updates);
  });
  c.check();
}

SEQRANK_OP_TEST(AdamW, MatchesItsDefinition) {
  for (std::int64_t n : {0, 1, 37, 40001})
    for (std::int64_t updates : {1, 2, 1000}) check_adamw(device, n, updates, 0.5);
}

SEQRANK_OP_TEST(AdamW, WritesNothingWhereTheScaleIsZero) {
  check_adamw(device, 37, 3, 0);
  // Not even with a gradient that is not finite.
  Context ctx(device, 1);
  Tensor w = ctx.empty(DType::f32, {3}), m = ctx.empty(DType::f32, {3});
  Tensor v = ctx.empty(DType::f32, {3}), g = ctx.empty(DType::f32, {3});
  Tensor scale = ctx.empty(DType::f32, {1});
  Tensor decay = ctx.empty(DType::f32, {1}), rates = ctx.empty(DType::f32, {1});
  Tensor end = ctx.empty(DType::i64, {1});
  for (Tensor* x : {&w, &m, &v}) set_values(ctx, *x, {1, 2, 3});
  set_values(ctx, g, {1, NAN, INFINITY});
  set_values(ctx, scale, {0});
  set_values(ctx, decay, {0.1});
  set_values(ctx, rates, {1});
  set_values(ctx, end, {3});
  adamw(ctx, w, m, v, g, scale, AdamW{}, kRate, {decay, rates, end}, 1);
  for (const Tensor* x : {&w, &m, &v})
    EXPECT_EQ(get_values(ctx, *x), (std::vector<double>{1, 2, 3}));
}

SEQRANK_OP_TEST(SquaredNorm, AddsTheSumOfSquares) {
  for (std::int64_t n : {0, 1, 37, 4096, 4097, 50001}) {
    OpCase c(fmt::format("n={}", n), device);
    c.constant("x", {n}).loss("sum").tolerance(1e-12);  // accumulated in double
    c.reference([=](Values& v) {
      for (double x : v["x"]) v["sum"][0] += x * x;
    });
    c.run("add_squared_norm",
          [](Context& ctx, Tensors& t) { add_squared_norm(ctx, t["sum"], t["x"]); });
    c.check();
  }
}

double squared_norm(Device device, const std::vector<double>& values, int threads) {
  Context ctx(device, threads);
  Tensor x = ctx.empty(DType::f32, {static_cast<std::int64_t>(values.size())});
  Tensor sum = ctx.empty(DType::f64, {1});
  set_values(ctx, x, values);
  set_values(ctx, sum, {0});
  add_squared_norm(ctx, sum, x);
  return get_values(ctx, sum)[0];
}

SEQRANK_OP_TEST(SquaredNorm, IsNotFiniteWhereAnElementIsNot) {
  std::vector<double> values(10000, 0.5);
  for (double bad : {std::nan(""), double{INFINITY}, -double{INFINITY}}) {
    values[7777] = bad;
    EXPECT_FALSE(std::isfinite(squared_norm(device, values, 1)));
  }
}

TEST(SquaredNorm, HasTheSameBitsAtAnyThreadCount) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer cannot see OpenMP's own barriers";
#endif
  std::vector<double> values(100003);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 / (i % 997 + 1);
  const double one = squared_norm(Device::cpu, values, 1);
  EXPECT_EQ(one, squared_norm(Device::cpu, values, 2));
  EXPECT_EQ(one, squared_norm(Device::cpu, values, 3));
}

SEQRANK_OP_TEST(ClipScale, Decides) {
  struct Row {
    double squared;
    float clip;
    float scale;
  };
  const Row rows[] = {{4, 1, 0.5f}, {4, 3, 1},        {4, 0, 1},        {0, 1, 1},
                      {0, 0, 1},    {INFINITY, 1, 0}, {INFINITY, 0, 0}, {NAN, 1, 0}};
  for (const Row& row : rows) {
    Context ctx(device, 1);
    Tensor squared = ctx.empty(DType::f64, {1}), scale = ctx.empty(DType::f32, {1});
    set_values(ctx, squared, {row.squared});
    clip_scale(ctx, scale, squared, row.clip);
    EXPECT_EQ(get_values(ctx, scale)[0], row.scale) << row.squared << " clip " << row.clip;
  }
}

}  // namespace
}  // namespace seqrank
