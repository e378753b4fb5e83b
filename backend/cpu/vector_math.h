// exp, tanh and sigmoid over floats, to about two units in the last place, written so that GCC
// vectorises a plain loop over them (needs -fno-math-errno -fno-trapping-math, which
// backend/CMakeLists.txt sets). Infinities and NaN behave as in <cmath>; results of fast_exp and
// fast_sigmoid below FLT_MIN are flushed to zero, since denormals are a hundred times slower.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace seqrank::cpu {
namespace vector_math {

inline constexpr float kLog2e = 1.44269504088896341f;
// ln 2 in two parts: n times the first is exact for |n| < 2^14.
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
// Adding it rounds to an integer that then stands in the low bits.
inline constexpr float kRound = 12582912.0f;

// (e^r - 1) for |r| <= ln(2) / 2 (coefficients: Cephes).
inline float expm1_small(float r) {
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * (r * r) + r;
}

inline float power_of_two(std::int32_t n) {  // -127 < n < 128
  return std::bit_cast<float>((n + 127) << 23);
}

}  // namespace vector_math

inline float fast_exp(float x) {
  using namespace vector_math;
  constexpr float kLow = -87.3365447f;  // log(FLT_MIN)
  constexpr float kHigh = 89.0f;        // e^kHigh overflows
  float clamped = x > kHigh ? kHigh : x;
  clamped = clamped < kLow ? kLow : clamped;
  const float shifted = clamped * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  const std::int32_t exponent =
      std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound);
  // 2^n in two factors: 2^128 alone would not fit.
  const std::int32_t half = exponent >> 1;
  const float y = (expm1_small(r) + 1.0f) * power_of_two(half) * power_of_two(exponent - half);
  return x < kLow ? 0.0f : y;
}

inline float fast_tanh(float x) {
  using namespace vector_math;
  // tanh |x| = -m / (2 + m), m = e^(-2|x|) - 1: no cancellation near zero. It is 1 from 10 on.
  float a = std::fabs(x);
  a = a > 10.0f ? 10.0f : a;
  const float z = -2.0f * a;
  const float shifted = z * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (z - n * kLn2High) - n * kLn2Low;
  const float s =
      power_of_two(std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound));
  const float m = s * expm1_small(r) + (s - 1.0f);
  return std::copysign(m / (2.0f + m), x);
}

inline float fast_sigmoid(float x) {
  return 1.0f / (1.0f + fast_exp(-x));
}

}  // namespace seqrank::cpu
