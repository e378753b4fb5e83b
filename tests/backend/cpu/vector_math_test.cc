// The fast functions against <cmath> in double, over all magnitudes, and at the edges. These loops
// are compiled here without the flags of the backend: what they compute must not depend on them.
#include "backend/cpu/vector_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace seqrank::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLeast = std::numeric_limits<float>::min();

// Distance in units of the last place of the exact value; below FLT_MIN, zero is as good.
double distance(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e30;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded)) return got == rounded ? 0 : 1e30;
  if (std::fabs(exact) < kLeast) return std::fabs(got) <= kLeast ? 0 : 1e30;
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(got - exact) / std::ldexp(1.0, exponent - 24);
}

void expect_close(float (*fast)(float), double (*exact)(double), double units) {
  // Every 49,157th float: all signs, exponents, infinities' neighbours and NaNs among them.
  double worst = 0;
  float at = 0;
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 49157) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    const double d = distance(fast(x), exact(x));
    if (d > worst) {
      worst = d;
      at = x;
    }
  }
  for (int i = -110000; i <= 110000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double d = distance(fast(x), exact(x));
    if (d > worst) {
      worst = d;
      at = x;
    }
  }
  EXPECT_LE(worst, units) << "at " << at;
}

TEST(VectorMath, ExpIsCloseEverywhere) {
  expect_close(
      fast_exp, [](double x) { return std::exp(x); }, 1.5);
}

TEST(VectorMath, TanhIsCloseEverywhere) {
  expect_close(
      fast_tanh, [](double x) { return std::tanh(x); }, 3);
}

TEST(VectorMath, SigmoidIsCloseEverywhere) {
  expect_close(
      fast_sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 3);
}

TEST(VectorMath, Edges) {
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_EQ(fast_exp(-kInfinity), 0.0f);
  EXPECT_EQ(fast_exp(kInfinity), kInfinity);
  EXPECT_EQ(fast_exp(-88.0f), 0.0f);  // flushed
  EXPECT_TRUE(std::isnan(fast_exp(std::nanf(""))));
  EXPECT_EQ(fast_tanh(kInfinity), 1.0f);
  EXPECT_EQ(fast_tanh(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(fast_tanh(-0.0f)));
  EXPECT_EQ(fast_tanh(1e-30f), 1e-30f);
  EXPECT_TRUE(std::isnan(fast_tanh(std::nanf(""))));
  EXPECT_EQ(fast_sigmoid(0.0f), 0.5f);
  EXPECT_EQ(fast_sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(fast_sigmoid(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(fast_sigmoid(std::nanf(""))));
}

}  // namespace
}  // namespace seqrank::cpu
