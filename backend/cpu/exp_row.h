// The V-wide loop of the softmax: a row of logits becomes e^(logit - largest) and its sum, in two
// sweeps. GCC's vector types, one register wide, since a plain loop would be cut to half registers.
// Not a general exp: arguments are at most 0, and what is below e^-60 is 0, which no fp32 sum
// notices and which keeps denormal numbers, a hundred times slower, out of the products behind it.
#pragma once

#include <cstdint>
#include <cstring>

namespace seqrank::cpu {

inline constexpr std::int64_t kLanes = __BIGGEST_ALIGNMENT__ / sizeof(float);
typedef float FloatLanes __attribute__((vector_size(__BIGGEST_ALIGNMENT__)));
typedef std::int32_t IntLanes __attribute__((vector_size(__BIGGEST_ALIGNMENT__)));

inline FloatLanes load_lanes(const float* from) {
  FloatLanes x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

inline void store_lanes(float* to, FloatLanes x) {
  std::memcpy(to, &x, sizeof(x));
}

inline FloatLanes spread(float x) {
  return FloatLanes{} + x;
}

// e^x for x <= 0, to 1.3e-7 relative; NaN stays NaN.
inline FloatLanes exp_of_negative(FloatLanes x) {
  constexpr float kLog2e = 1.44269504f, kLn2 = 0.693147182f, kLeast = -60;
  constexpr float kRound = 12582912.0f;  // adding it rounds to an integer, left in the low bits
  const FloatLanes shifted = x * kLog2e + kRound;
  const FloatLanes r = x - (shifted - kRound) * kLn2;
  // e^r for |r| <= ln(2) / 2, minimax with the first two coefficients held.
  FloatLanes y = r * 1.3836741929e-3f + 8.3748983630e-3f;
  y = y * r + 4.1668231803e-2f;
  y = y * r + 1.6666419190e-1f;
  y = y * r + 4.9999992032e-1f;
  y = y * r + 1.0f;
  y = y * r + 1.0f;
  const IntLanes bits = (IntLanes)y + ((IntLanes)shifted << 23);
  return x < kLeast ? FloatLanes{} : (FloatLanes)bits;
}

inline float largest_of_row(const float* row, std::int64_t n, float at_least) {
  FloatLanes a = spread(at_least), b = a;
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const FloatLanes x = load_lanes(row + i), y = load_lanes(row + i + kLanes);
    a = x > a ? x : a;
    b = y > b ? y : b;
  }
  for (; i < n; i += kLanes) {
    const FloatLanes x = load_lanes(row + i);
    a = x > a ? x : a;
  }
  float largest = at_least;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    if (a[lane] > largest) largest = a[lane];
    if (b[lane] > largest) largest = b[lane];
  }
  return largest;
}

// row[i] = e^(row[i] - largest); returns the sum. n is a multiple of 16, `largest` finite and no
// less than any element.
inline float exponentiate_row(float* row, std::int64_t n, float largest) {
  const FloatLanes shift = spread(largest);
  FloatLanes a{}, b{};
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const FloatLanes x = exp_of_negative(load_lanes(row + i) - shift);
    const FloatLanes y = exp_of_negative(load_lanes(row + i + kLanes) - shift);
    store_lanes(row + i, x);
    store_lanes(row + i + kLanes, y);
    a += x;
    b += y;
  }
  for (; i < n; i += kLanes) {
    const FloatLanes x = exp_of_negative(load_lanes(row + i) - shift);
    store_lanes(row + i, x);
    a += x;
  }
  a += b;
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += a[lane];
  return sum;
}

}  // namespace seqrank::cpu
