// How the work of kernels that are bound by memory is shared out to threads, and the sums of a warp
// and of a block: what most kernels start with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

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

// Four elements a thread, a block's width apart: neighbouring lanes have neighbouring elements,
// whatever the alignment, and a thread that reads all of its own before it writes keeps four times
// as many bytes under way, which the full speed of the memory wants.
inline constexpr int kPerThread = 4;
inline LaunchShape per_four_elements(std::int64_t n) {
  constexpr std::int64_t kBlock = kThreads * kPerThread;
  return {static_cast<unsigned>((n + kBlock - 1) / kBlock), kThreads};
}
class FourElements {  // of a launch of per_four_elements(n)
 public:
  __device__ explicit FourElements(std::int64_t n)
      : first_(static_cast<std::int64_t>(blockIdx.x) * kThreads * kPerThread + threadIdx.x),
        n_(n) {}
  __device__ std::int64_t operator[](int i) const { return first_ + i * kThreads; }
  __device__ bool has(int i) const { return (*this)[i] < n_; }

 private:
  std::int64_t first_, n_;
};

// A thread for each of rows x columns, without a division: blocks as wide as the rows, if they can.
inline LaunchShape per_row_and_column(std::int64_t rows, std::int64_t columns) {
  unsigned width = 1;
  while (width < columns && width < 32) width *= 2;
  if (columns > 32)
    width = static_cast<unsigned>(std::min<std::int64_t>(kThreads, (columns + 31) / 32 * 32));
  const unsigned height = kThreads / width;
  return {dim3(static_cast<unsigned>((rows + height - 1) / height),
               static_cast<unsigned>((columns + width - 1) / width)),
          dim3(width, height)};
}
__device__ inline std::int64_t row_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}
__device__ inline std::int64_t column_index() {
  return static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
}

// A warp a row.
inline LaunchShape per_warp(std::int64_t rows) {
  return per_element(rows * 32);
}
__device__ inline std::int64_t warp_index() {
  return element_index() / 32;
}
__device__ inline int lane_index() {
  return static_cast<int>(threadIdx.x % 32);
}

// Whether rows of d floats that begin at these addresses can be read as float4.
inline bool rows_of_float4(std::int64_t d, std::initializer_list<const void*> begins) {
  return d % 4 == 0 && std::ranges::all_of(begins, [](const void* p) {
           return reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
         });
}

// In every lane; always added in the same order.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kFullWarp, value, step);
  return value;
}
__device__ inline float warp_max(float value) {
  for (int step = 16; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(kFullWarp, value, step));
  return value;
}
// Of a one-dimensional block of kThreads, in every thread; always added in the same order.
template <class T>
__device__ inline T block_sum(T value) {
  SHARED_ARRAY(T, of_warp_, kThreads / 32);
  value = warp_sum(value);
  __syncthreads();  // the call before has been read
  if (lane_index() == 0) of_warp_[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = of_warp_[0];
  for (int warp = 1; warp < kThreads / 32; ++warp) sum += of_warp_[warp];
  return sum;
}

}  // namespace seqrank::cuda
