// Rows scaled to length one on a CUDA device: a warp a row, which it reads again from the cache
// once its length is known. Bound by memory: 8 bytes an element forward, 12 backward. Sums are
// fp32: a row whose squares overflow fp32 (elements of 1e19) is scaled to zeros, unlike on a CPU.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

constexpr float kLeastNorm = 1e-12f;

__device__ float dot(const float* a, const float* b, std::int64_t d) {
  float sum = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) sum += a[j] * b[j];
  return warp_sum(sum);
}

__global__ void normalise_kernel(float* __restrict__ y_ND, float* norm_N,
                                 const float* __restrict__ x_ND, std::int64_t rows,
                                 std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const float* x = x_ND + n * d;
  float* y = y_ND + n * d;
  const float norm = fmaxf(kLeastNorm, sqrtf(dot(x, x, d)));
  if (lane_index() == 0) norm_N[n] = norm;
  for (std::int64_t j = lane_index(); j < d; j += 32) y[j] = x[j] / norm;
}

__global__ void normalise_backward_kernel(float* __restrict__ dx_ND,
                                          const float* __restrict__ dy_ND,
                                          const float* __restrict__ y_ND, const float* norm_N,
                                          std::int64_t rows, std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const float norm = norm_N[n];
  const float* dy = dy_ND + n * d;
  const float* y = y_ND + n * d;
  float* dx = dx_ND + n * d;
  const bool raised = norm == kLeastNorm;
  const float along = raised ? 0.f : dot(dy, y, d);
  for (std::int64_t j = lane_index(); j < d; j += 32)
    dx[j] = raised ? 0.f : (dy[j] - y[j] * along) / norm;
}

}  // namespace

void l2_normalise(Context& ctx, Tensor& y_ND, Tensor& norm_N, const Tensor& x_ND) {
  const std::int64_t rows = x_ND.dim(0), d = x_ND.dim(1);
  launch<normalise_kernel>(per_warp(rows), stream_of(ctx), out<float>(y_ND), out<float>(norm_N),
                           in<float>(x_ND), rows, d);
}

void l2_normalise_backward(Context& ctx, Tensor& dx_ND, const Tensor& dy_ND, const Tensor& y_ND,
                           const Tensor& norm_N) {
  const std::int64_t rows = y_ND.dim(0), d = y_ND.dim(1);
  launch<normalise_backward_kernel>(per_warp(rows), stream_of(ctx), out<float>(dx_ND),
                                    in<float>(dy_ND), in<float>(y_ND), in<float>(norm_N), rows, d);
}

}  // namespace seqrank::cuda
