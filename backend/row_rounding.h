// Stochastic rounding of rows that lie as bf16: of the two neighbours of a value the nearer one is
// the likelier, so that the mean is the value, and a change much smaller than a step of bf16 still
// counts for what it is. The random bits follow from what is rounded and when alone: the same at
// any number of threads and ranks, on any device, and after any restart. All is constexpr so that
// kernels may call it.
#pragma once

#include <cstdint>

#include "backend/philox.h"

namespace seqrank {

// What the bits of a row follow from, besides its number in the whole table.
struct RowRounding {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t table = 0;                 // a hash of its name
  std::int64_t first_row = 0, stride = 1;  // row k of those here is first_row + k * stride
};

// Columns j, j + 8, ..., j + 56 of 64 share a call, so that a row of 64 costs eight of them,
// neighbouring columns come from neighbouring calls, which vectorise, and a lane that has columns
// j and j + 32 makes one call for both.
inline constexpr std::int64_t kColumnsOfCalls = 64;
inline constexpr int kCallsOfColumns = 8;

// call: that of column j is j / 64 * 8 + j % 8.
constexpr Philox4 rounding_bits(const RowRounding& rounding, std::int64_t row_here,
                                std::int64_t call) {
  const std::int64_t row = rounding.first_row + row_here * rounding.stride;
  return philox(rounding.seed, Purpose::rounding,
                {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(call), rounding.table,
                 rounding.step});
}
// Of the call's bits those of its n-th column.
constexpr std::uint32_t sixteen_bits(std::uint32_t word, int n) {
  return word >> 16 * (n % 2) & 0xffffu;
}

// Bits of f32 to bits of bf16: up in size if random_16 (below 2^16) carries out of what is cut off.
// NaN stays NaN, and infinite stays infinite; beyond the largest bf16 a value may become infinite.
constexpr std::uint16_t round_at_random(std::uint32_t bits, std::uint32_t random_16) {
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(nan ? bits >> 16 | 0x40u : (bits + random_16) >> 16);
}

}  // namespace seqrank
