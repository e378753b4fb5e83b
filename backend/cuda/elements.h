// One thread an element, and the sums of a warp: what most kernels start with.
#pragma once

#include <cstdint>

#include "device_code.h"
#include "launch.h"

namespace seqrank::cuda {

inline constexpr int kThreads = 256;  // of a block, unless a kernel says otherwise
inline constexpr unsigned kFullWarp = 0xffffffffu;

inline LaunchShape per_element(std::int64_t n) {
  return {static_cast<unsigned>((n + kThreads - 1) / kThreads), kThreads};
}
__device__ inline std::int64_t element_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// In every lane; always added in the same order.
__device__ inline float warp_sum(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kFullWarp, value, step);
  return value;
}
__device__ inline float warp_max(float value) {
  for (int step = 16; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(kFullWarp, value, step));
  return value;
}

}  // namespace seqrank::cuda
