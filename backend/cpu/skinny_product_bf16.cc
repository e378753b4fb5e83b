// As skinny_product.cc, two of k at a time: an instruction multiplies pairs of bf16 and adds both
// products to an fp32 sum. Rows outside, since each must be rounded once; a panel is half as large
// here, and stays in the second cache at the least.
#include "backend/cpu/skinny_product_bf16.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "backend/bf16.h"

#define SR_WITH_BF16 [[gnu::target("avx512f,avx512bf16")]]

namespace seqrank::cpu {
namespace {

constexpr int kMaxRows = 6, kMaxVectors = kBf16Panel / kBf16Lanes;  // 24 of 32 registers
constexpr std::int64_t kDepth = 1024;                               // rounded at once

enum class Sum { begins, goes_on };

// c [R, V vectors] (+)= a [R, 2 pairs] panel [2 pairs, V vectors].
template <int R, int V>
SR_WITH_BF16 void block(float* c, std::int64_t stride, const std::uint16_t (*a)[kDepth],
                        const std::uint16_t* panel, std::int64_t pairs, Sum before) {
  __m512 sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      sum[r][v] = before == Sum::begins ? _mm512_setzero_ps()
                                        : _mm512_loadu_ps(c + r * stride + v * kBf16Lanes);
  for (std::int64_t p = 0; p < pairs; ++p) {
    const std::uint16_t* const b = panel + p * 2 * V * kBf16Lanes;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      std::int32_t pair;
      std::memcpy(&pair, &a[r][2 * p], sizeof(pair));
      const __m512bh a_rp = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v)
        sum[r][v] =
            _mm512_dpbf16_ps(sum[r][v], a_rp, (__m512bh)_mm512_loadu_si512(b + 2 * v * kBf16Lanes));
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(c + r * stride + v * kBf16Lanes, sum[r][v]);
}

using Block = void (*)(float*, std::int64_t, const std::uint16_t (*)[kDepth], const std::uint16_t*,
                       std::int64_t, Sum);

template <int V>
Block block_of_rows(std::int64_t rows) {
  static constexpr Block kBlocks[kMaxRows] = {block<1, V>, block<2, V>, block<3, V>,
                                              block<4, V>, block<5, V>, block<6, V>};
  return kBlocks[rows - 1];
}

Block choose_block(std::int64_t rows, std::int64_t vectors) {
  if (vectors == 1) return block_of_rows<1>(rows);
  if (vectors == 2) return block_of_rows<2>(rows);
  if (vectors == 3) return block_of_rows<3>(rows);
  return block_of_rows<kMaxVectors>(rows);
}

}  // namespace

void multiply_bf16(float* c, std::int64_t stride, const float* a, std::int64_t rows,
                   std::int64_t depth, const std::uint16_t* packed) {
  alignas(64) std::uint16_t rounded[kMaxRows][kDepth];
  const std::int64_t pairs = bf16_pairs(depth), blocks = (rows + kMaxRows - 1) / kMaxRows;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t row = rows * i / blocks, count = rows * (i + 1) / blocks - row;
    std::int64_t k = 0;
    do {  // once for a depth of none: sums of nothing are written, too
      const std::int64_t here = std::min(kDepth, depth - k);
      for (std::int64_t r = 0; r < count; ++r) {
        round_to_bf16(rounded[r], a + (row + r) * depth + k, here);
        if (here % 2 == 1) rounded[r][here] = 0;
      }
      for (std::int64_t begin = 0; begin < stride; begin += kBf16Panel) {
        const std::int64_t width = std::min(kBf16Panel, stride - begin);
        choose_block(count, width / kBf16Lanes)(
            c + row * stride + begin, stride, rounded, packed + 2 * pairs * begin + k * width,
            bf16_pairs(here), k == 0 ? Sum::begins : Sum::goes_on);
      }
      k += kDepth;
    } while (k < depth);
  }
}

}  // namespace seqrank::cpu
