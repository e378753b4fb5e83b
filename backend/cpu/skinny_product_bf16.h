// The packed product with bf16 operands and fp32 sums; a part of PackedMatrix. Wants a processor
// with AVX512_BF16, whatever the program was compiled for: see has_bf16_products().
#pragma once

#include <cstdint>

namespace seqrank::cpu {

inline constexpr std::int64_t kBf16Lanes = 16;
inline constexpr std::int64_t kBf16Panel = 64;  // columns of a panel, but for the last
inline std::int64_t bf16_pairs(std::int64_t depth) {
  return (depth + 1) / 2;
}

// c [rows, stride] is written; a is [rows, depth], rounded here. packed: panel by panel of B
// [depth, stride], in each two rows of B at a time, their elements side by side; stride is a
// multiple of kBf16Lanes, and an odd depth is filled up with zeros.
void multiply_bf16(float* c, std::int64_t stride, const float* a, std::int64_t rows,
                   std::int64_t depth, const std::uint16_t* packed);

}  // namespace seqrank::cpu
