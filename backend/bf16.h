// bf16 on a host without a type for it: bits in std::uint16_t, rounded to nearest, ties to even.
// NaN stays NaN; what is too large becomes infinite; what is too small for a normal number is kept.
#pragma once

#include <bit>
#include <cstdint>

#include "backend/tensor.h"

namespace seqrank {

inline std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const std::uint32_t quiet = bits >> 16 | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

inline void round_to_bf16(std::uint16_t* to, const float* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}
inline void from_bf16(float* to, const std::uint16_t* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = from_bf16(from[i]);
}

inline std::uint16_t* bf16_data(Tensor& x) {
  SR_ASSERT(x.dtype() == DType::bf16, "tensor is {}, used as bf16", dtype_name(x.dtype()));
  return static_cast<std::uint16_t*>(x.raw());
}
inline const std::uint16_t* bf16_data(const Tensor& x) {
  SR_ASSERT(x.dtype() == DType::bf16, "tensor is {}, used as bf16", dtype_name(x.dtype()));
  return static_cast<const std::uint16_t*>(x.raw());
}

}  // namespace seqrank
