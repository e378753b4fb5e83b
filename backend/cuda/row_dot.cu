// Products row by row on a CUDA device: a warp a row, fp32 sums. Bound by memory: 8 bytes an
// element forward, 16 backward.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__global__ void row_dot_kernel(float* y_N, const float* a_ND, const float* b_ND, std::int64_t rows,
                               std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  float sum = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) sum += a_ND[n * d + j] * b_ND[n * d + j];
  sum = warp_sum(sum);
  if (lane_index() == 0) y_N[n] = sum;
}

__global__ void row_dot_backward_kernel(float* __restrict__ da_ND, float* __restrict__ db_ND,
                                        const float* dy_N, const float* __restrict__ a_ND,
                                        const float* __restrict__ b_ND, std::int64_t rows,
                                        std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const float dy = dy_N[n];
  for (std::int64_t i = n * d + lane_index(); i < (n + 1) * d; i += 32) {
    da_ND[i] = dy * b_ND[i];
    db_ND[i] = dy * a_ND[i];
  }
}

}  // namespace

void row_dot(Context& ctx, Tensor& y_N, const Tensor& a_ND, const Tensor& b_ND) {
  const std::int64_t rows = a_ND.dim(0);
  launch<row_dot_kernel>(per_warp(rows), stream_of(ctx), out<float>(y_N), in<float>(a_ND),
                         in<float>(b_ND), rows, a_ND.dim(1));
}

void row_dot_backward(Context& ctx, Tensor& da_ND, Tensor& db_ND, const Tensor& dy_N,
                      const Tensor& a_ND, const Tensor& b_ND) {
  const std::int64_t rows = a_ND.dim(0);
  launch<row_dot_backward_kernel>(per_warp(rows), stream_of(ctx), out<float>(da_ND),
                                  out<float>(db_ND), in<float>(dy_N), in<float>(a_ND),
                                  in<float>(b_ND), rows, a_ND.dim(1));
}

}  // namespace seqrank::cuda
