// Scores of query-dependent additive attention, w . act(k_j + q), and how warps work on them: what
// its soft and hard forms and its candidates share on a CUDA device.
#pragma once

#include "backend/cuda/elements.h"

namespace seqrank::cuda {

struct Tanh {
  static __device__ float value(float x) { return tanhf(x); }
  static __device__ float slope(float y) { return 1.f - y * y; }  // from the result
};
struct Relu {
  static __device__ float value(float x) { return fmaxf(x, 0.f); }
  static __device__ float slope(float y) { return y > 0.f ? 1.f : 0.f; }
};

// The sequence of event n: the last that begins at or before it. Empty ones begin where others do.
__device__ inline std::int64_t sequence_of(std::int64_t n, const std::int32_t* offset_B1,
                                           std::int64_t sequences) {
  std::int64_t low = 0, high = sequences;  // offset[low] <= n < offset[high]
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (offset_B1[middle] <= n ? low : high) = middle;
  }
  return low;
}

template <class Act>
__device__ float score(const float* k_A, const float* q_A, const float* w_A, std::int64_t keys) {
  float sum = 0;
  for (std::int64_t a = 0; a < keys; ++a) sum += w_A[a] * Act::value(k_A[a] + q_A[a]);
  return sum;
}

__device__ inline float dot(const float* x_D, const float* y_D, std::int64_t width) {
  float sum = 0;
  for (std::int64_t d = 0; d < width; ++d) sum += x_D[d] * y_D[d];
  return sum;
}

// sum_D[d] = factor sum_D[d] + (sum over i of weight_32[i] x[i][d]), lanes taking columns.
__device__ inline void add_rows(float* sum_D, float factor, const float* weight_32,
                                const float* x_ID, int rows, std::int64_t width) {
  for (std::int64_t d = lane_index(); d < width; d += 32) {
    float sum = factor * sum_D[d];
    for (int i = 0; i < rows; ++i) sum += weight_32[i] * x_ID[i * width + d];
    sum_D[d] = sum;
  }
}

__device__ inline void set_zero(float* x, std::int64_t n) {
  for (std::int64_t i = lane_index(); i < n; i += 32) x[i] = 0.f;
}

// Of lanes that each know their largest x and its key (-1: none), the smallest key of the largest.
__device__ inline std::int64_t first_of_largest(float largest, std::int64_t key) {
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kFullWarp, largest, step);
    const std::int64_t other_key = __shfl_xor_sync(kFullWarp, key, step);
    const bool better = key < 0 || other > largest || (other == largest && other_key < key);
    if (other_key < 0 || !better) continue;
    largest = other;
    key = other_key;
  }
  return key;
}

// Of a warp, floats: 64 for what its lanes tell one another, and sums.
inline constexpr std::int64_t kTold = 64;
__device__ inline float* memory_of_warp(float* of_block, std::int64_t sums) {
  return of_block + threadIdx.x / 32 * (kTold + sums);
}
inline LaunchShape per_event(std::int64_t events, std::int64_t sums) {
  LaunchShape shape = per_warp(events);
  shape.dynamic_shared = static_cast<std::size_t>(kThreads / 32 * (kTold + sums)) * sizeof(float);
  return shape;
}

}  // namespace seqrank::cuda
