// Pieces of the attention kernels that multiply on tensor cores: tiles of 16-bit elements in shared
// memory, the fragments of mma.m16n8k16, and products of a warp's 16 rows with a tile. A warp's
// lanes are numbered as in the instruction: lane = 4 g + t holds, of each 8 columns of a product,
// {row g, row g + 8} x {column 2 t, 2 t + 1}. Knows nothing of softmax and masks.
#pragma once

#include <cstring>

#include "backend/cuda/attention.h"
#include "device_code.h"

namespace seqrank::cuda::attention {

// A row of a tile in shared memory: 16 bytes more than its elements, so that the eight rows of an
// ldmatrix lie in different banks.
template <int kWidth>
inline constexpr int kRow = kWidth + 8;

__device__ __forceinline__ std::uint32_t pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  std::uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}
__device__ __forceinline__ std::uint32_t pack(float low, float high, __half) {
  const __half2 pair = __floats2half2_rn(low, high);
  std::uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}
__device__ __forceinline__ float2 unpack(std::uint32_t bits, __nv_bfloat16) {
  return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
}
__device__ __forceinline__ float2 unpack(std::uint32_t bits, __half) {
  return {__half2float(__ushort_as_half(static_cast<unsigned short>(bits))),
          __half2float(__ushort_as_half(static_cast<unsigned short>(bits >> 16)))};
}

// Eight elements of 16 bits each, from f32.
template <class T>
__device__ __forceinline__ uint4 narrowed(const float* from) {
  const float4 a = *reinterpret_cast<const float4*>(from);
  const float4 b = *reinterpret_cast<const float4*>(from + 4);
  return {pack(a.x, a.y, T()), pack(a.z, a.w, T()), pack(b.x, b.y, T()), pack(b.z, b.w, T())};
}

// One head of one sequence in the packed memory.
struct Place {
  int sequence, head, first, length;
};
__device__ __forceinline__ Place place_of(const std::int32_t* offset_B1, int sequence, int head) {
  const int first = offset_B1[sequence];
  return {sequence, head, first, offset_B1[sequence + 1] - first};
}
// Of event i, in [N, H].
__device__ __forceinline__ std::int64_t row_at(const AttentionNumbers& x, const Place& p, int i) {
  return static_cast<std::int64_t>(p.first + i) * x.heads + p.head;
}
__device__ __forceinline__ const std::byte* event_at(const AttentionNumbers& x, const Place& p,
                                                     const std::byte* memory, int i) {
  return memory + row_at(x, p, i) * x.width * (x.wide ? 4 : 2);
}

// tile [kRows, kRow] = the events [begin, begin + kRows); zeros beyond the sequence and the width.
// f32 is rounded on the way; 16 bits are copied asynchronously: copy_commit() and copy_wait() are
// the caller's. Not unrolled: registers are short where it stands, and a block's threads together
// have enough under way.
template <class T, int kRows, int kWidth, int kThreads>
__device__ __forceinline__ void load_tile(std::uint16_t* tile, const AttentionNumbers& x,
                                          const Place& p, const std::byte* memory, int begin) {
  constexpr int kChunks = kWidth / 8, kRowsAtOnce = kThreads / kChunks;
  static_assert(kThreads % kChunks == 0);
  const int first = static_cast<int>(threadIdx.x) / kChunks;
  if (first >= kRows) return;
  const int column = static_cast<int>(threadIdx.x) % kChunks * 8;
  const int rows = column < x.width ? p.length - begin : 0, stride = x.heads * x.width;
  const std::byte* from = event_at(x, p, memory, begin);
  std::uint16_t* to = tile + first * kRow<kWidth> + column;
  const auto clear = [&](int row) {
    *reinterpret_cast<uint4*>(to + row * kRow<kWidth>) = uint4{0, 0, 0, 0};
  };
  if (x.wide) {
    const float* wide = reinterpret_cast<const float*>(from) + first * stride + column;
#pragma unroll 1
    for (int row = 0; row < kRows; row += kRowsAtOnce) {
      if (first + row < rows)
        *reinterpret_cast<uint4*>(to + row * kRow<kWidth>) = narrowed<T>(wide + row * stride);
      else
        clear(row);
    }
  } else {
    const auto* narrow = reinterpret_cast<const std::uint16_t*>(from) + first * stride + column;
#pragma unroll 1
    for (int row = 0; row < kRows; row += kRowsAtOnce) {
      if (first + row < rows)
        copy_async_16(to + row * kRow<kWidth>, narrow + row * stride);
      else
        clear(row);
    }
  }
}

// The left operand of products: a warp's 16 rows of a tile. Held in registers where they are few.
template <int kWidth>
class Rows {
 public:
  __device__ __forceinline__ void open(const std::uint16_t* tile, int first_row) {
    const int lane = threadIdx.x % 32;
    at_ = tile + (first_row + lane % 16) * kRow<kWidth> + lane / 16 * 8;
    if constexpr (kHeld) {
#pragma unroll
      for (int k = 0; k < kWidth / 16; ++k) load_matrix_x4(held_[k], at_ + 16 * k);
    }
  }
  // Columns [16 k, 16 k + 16).
  __device__ __forceinline__ void get(std::uint32_t (&a)[4], int k) const {
    if constexpr (kHeld) {
#pragma unroll
      for (int i = 0; i < 4; ++i) a[i] = held_[k][i];
    } else {
      load_matrix_x4(a, at_ + 16 * k);
    }
  }

 private:
  static constexpr bool kHeld = kWidth <= 64;
  const std::uint16_t* at_;
  std::uint32_t held_[kHeld ? kWidth / 16 : 1][4];
};

// Which groups of 16 of a tile's rows a warp has to do with.
struct Groups {
  int begin, end;
  __device__ __forceinline__ bool has(int group) const { return group >= begin && group < end; }
};
// All of them, known when compiling: no branches between the products.
struct AllGroups {
  __device__ __forceinline__ bool has(int) const { return true; }
};

// s [16, 8 kBlocks] += rows tile^T.
template <class T, int kWidth, int kBlocks, class Some>
__device__ __forceinline__ void multiply_transposed(float (&s)[kBlocks][4],
                                                    const Rows<kWidth>& rows,
                                                    const std::uint16_t* tile, Some groups) {
  const int lane = threadIdx.x % 32;
  const std::uint16_t* at = tile + (lane / 16 * 8 + lane % 8) * kRow<kWidth> + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < kWidth / 16; ++k) {
    std::uint32_t a[4];
    rows.get(a, k);
#pragma unroll
    for (int group = 0; group < kBlocks / 2; ++group) {
      if (!groups.has(group)) continue;
      std::uint32_t b[4];
      load_matrix_x4(b, at + group * 16 * kRow<kWidth> + 16 * k);
      mma_16816(s[2 * group], a, {b[0], b[1]}, T());
      mma_16816(s[2 * group + 1], a, {b[2], b[3]}, T());
    }
  }
}

// o [16, kWidth] += p [16, 8 kBlocks] tile.
template <class T, int kWidth, int kBlocks, class Some>
__device__ __forceinline__ void multiply(float (&o)[kWidth / 8][4], const float (&p)[kBlocks][4],
                                         const std::uint16_t* tile, Some groups) {
  const int lane = threadIdx.x % 32;
  const std::uint16_t* at = tile + lane % 16 * kRow<kWidth> + lane / 16 * 8;
#pragma unroll
  for (int group = 0; group < kBlocks / 2; ++group) {
    if (!groups.has(group)) continue;
    const float(&low)[4] = p[2 * group], (&high)[4] = p[2 * group + 1];
    const std::uint32_t a[4] = {pack(low[0], low[1], T()), pack(low[2], low[3], T()),
                                pack(high[0], high[1], T()), pack(high[2], high[3], T())};
#pragma unroll
    for (int d = 0; d < kWidth / 16; ++d) {
      std::uint32_t b[4];
      load_matrix_x4_transposed(b, at + group * 16 * kRow<kWidth> + 16 * d);
      mma_16816(o[2 * d], a, {b[0], b[1]}, T());
      mma_16816(o[2 * d + 1], a, {b[2], b[3]}, T());
    }
  }
}

// Two neighbouring elements, of memory of either kind.
template <class T>
__device__ __forceinline__ void store_pair(float* wide, std::uint16_t* narrow, std::int64_t at,
                                           float low, float high) {
  if (wide != nullptr)
    *reinterpret_cast<float2*>(wide + at) = float2{low, high};
  else
    *reinterpret_cast<std::uint32_t*>(narrow + at) = pack(low, high, T());
}

// The warp's 16 rows, which are the events from `begin` on: factor[half] times those of each half.
template <class T, int kWidth>
__device__ __forceinline__ void store_rows(float* wide, std::uint16_t* narrow,
                                           const AttentionNumbers& x, const Place& p, int begin,
                                           const float (&o)[kWidth / 8][4],
                                           const float (&factor)[2]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int event = begin + lane / 4 + 8 * half;
    if (event >= p.length) continue;
    const std::int64_t at = row_at(x, p, event) * x.width + lane % 4 * 2;
#pragma unroll
    for (int d = 0; d < kWidth / 8; ++d) {
      if (8 * d >= x.width) continue;
      store_pair<T>(wide, narrow, at + 8 * d, o[d][2 * half] * factor[half],
                    o[d][2 * half + 1] * factor[half]);
    }
  }
}

}  // namespace seqrank::cuda::attention
