// Sums of softplus(x) = log(1 + e^x), what losses over many logits are made of. Factors 1 + e^-|x|
// lie in (1, 2], so 512 of them are multiplied in double before one logarithm is taken of all.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {

inline double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

// NaN where an element is.
inline double softplus_sum(const float* x, std::int64_t n) {
  constexpr std::int64_t kFactors = 512;  // their product is at most 2^512
  double sum = 0;
  for (std::int64_t begin = 0; begin < n; begin += kFactors) {
    const std::int64_t end = std::min(begin + kFactors, n);
    double product = 1, linear = 0;
#pragma omp simd reduction(* : product) reduction(+ : linear)
    for (std::int64_t i = begin; i < end; ++i) {
      product *= 1.0 + static_cast<double>(fast_exp(-std::fabs(x[i])));
      linear += static_cast<double>(x[i] > 0 ? x[i] : 0.0f);
    }
    sum += linear + std::log(product);
  }
  return sum;
}

}  // namespace seqrank::cpu
