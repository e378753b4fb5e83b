// What kernels of losses share: the largest of a row, and the last launch of every loss.
#pragma once

#include "backend/context.h"
#include "backend/cuda/elements.h"

namespace seqrank::cuda {

// loss_1 += factor * (sum of part_N) in one order; f64.
void add_loss(Context& ctx, Tensor& loss_1, const Tensor& part_N, double factor);

// Of a one-dimensional block of kThreads, in every thread; a NaN is passed over.
__device__ inline float block_max(float value) {
  SHARED_ARRAY(float, of_warp_, kThreads / 32);
  value = warp_max(value);
  __syncthreads();  // the call before has been read
  if (lane_index() == 0) of_warp_[threadIdx.x / 32] = value;
  __syncthreads();
  float largest = of_warp_[0];
  for (int warp = 1; warp < kThreads / 32; ++warp) largest = fmaxf(largest, of_warp_[warp]);
  return largest;
}

}  // namespace seqrank::cuda
