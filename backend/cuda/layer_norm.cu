// Layer normalisation on a CUDA device. A warp a row, which it reads again from the cache: 8 bytes
// an element forward, 12 for dx. The gradients of gain and bias are sums of columns, 8 bytes an
// element more, in two stages of one order: chunks of rows first, then the chunks' sums.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kChunkRows = 128;
// Of a block of the sums: neighbouring columns, each by several threads.
constexpr int kColumns = 32;
constexpr int kParts = kThreads / kColumns;

__global__ void layer_norm_kernel(float* __restrict__ y_ND, float* mean_N, float* rstd_N,
                                  const float* __restrict__ x_ND, const float* __restrict__ gain_D,
                                  const float* __restrict__ bias_D, float eps, std::int64_t rows,
                                  std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const int lane = lane_index();
  const float* x = x_ND + n * d;
  float* y = y_ND + n * d;
  float sum = 0;
  for (std::int64_t j = lane; j < d; j += 32) sum += x[j];
  const float mean = warp_sum(sum) / static_cast<float>(d);
  float squares = 0;  // about the mean: no cancellation
  for (std::int64_t j = lane; j < d; j += 32) squares += (x[j] - mean) * (x[j] - mean);
  const float rstd = 1.f / sqrtf(warp_sum(squares) / static_cast<float>(d) + eps);
  if (lane == 0) {
    mean_N[n] = mean;
    rstd_N[n] = rstd;
  }
  for (std::int64_t j = lane; j < d; j += 32) y[j] = (x[j] - mean) * rstd * gain_D[j] + bias_D[j];
}

__global__ void dx_kernel(float* __restrict__ dx_ND, const float* __restrict__ dy_ND,
                          const float* __restrict__ x_ND, const float* mean_N, const float* rstd_N,
                          const float* __restrict__ gain_D, std::int64_t rows, std::int64_t d) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  const float mean = mean_N[n], rstd = rstd_N[n];
  const float* dy = dy_ND + n * d;
  const float* x = x_ND + n * d;
  float* dx = dx_ND + n * d;
  float sum = 0, dot = 0;  // of g = dy gain, and of g with the normalised x
  for (std::int64_t j = lane_index(); j < d; j += 32) {
    const float g = dy[j] * gain_D[j];
    sum += g;
    dot += g * ((x[j] - mean) * rstd);
  }
  const float mean_g = warp_sum(sum) / static_cast<float>(d);
  const float mean_dot = warp_sum(dot) / static_cast<float>(d);
  for (std::int64_t j = lane_index(); j < d; j += 32)
    dx[j] = rstd * (dy[j] * gain_D[j] - mean_g - (x[j] - mean) * rstd * mean_dot);
}

// Of the threads of a block that have the same column: in those with threadIdx.y = 0.
__device__ float2 sum_of_parts(float2 value) {
  SHARED_ARRAY(float2, part, kThreads);
  part[threadIdx.y * kColumns + threadIdx.x] = value;
  __syncthreads();
  if (threadIdx.y == 0) {
    for (int p = 1; p < kParts; ++p) {
      value.x += part[p * kColumns + threadIdx.x].x;
      value.y += part[p * kColumns + threadIdx.x].y;
    }
  }
  return value;
}

// sum_CD[c]: of the rows of chunk c, the sums for gain and bias side by side.
__global__ void sum_chunks_kernel(float2* sum_CD, const float* dy_ND, const float* x_ND,
                                  const float* mean_N, const float* rstd_N, std::int64_t rows,
                                  std::int64_t d) {
  const std::int64_t chunk = blockIdx.x;
  const std::int64_t column = column_index();
  const std::int64_t end = min(rows, (chunk + 1) * kChunkRows);
  float2 sum = make_float2(0, 0);
  if (column < d) {
#pragma unroll 4
    for (std::int64_t n = chunk * kChunkRows + threadIdx.y; n < end; n += kParts) {
      const float upstream = dy_ND[n * d + column];
      sum.x += upstream * ((x_ND[n * d + column] - mean_N[n]) * rstd_N[n]);
      sum.y += upstream;
    }
  }
  sum = sum_of_parts(sum);
  if (threadIdx.y == 0 && column < d) sum_CD[chunk * d + column] = sum;
}

__global__ void add_chunks_kernel(float* dgain_D, float* dbias_D, const float2* sum_CD,
                                  std::int64_t chunks, std::int64_t d) {
  const std::int64_t column = column_index();
  float2 sum = make_float2(0, 0);
  if (column < d) {
#pragma unroll 4
    for (std::int64_t chunk = threadIdx.y; chunk < chunks; chunk += kParts) {
      const float2 part = sum_CD[chunk * d + column];
      sum.x += part.x;
      sum.y += part.y;
    }
  }
  sum = sum_of_parts(sum);
  if (threadIdx.y != 0 || column >= d) return;
  dgain_D[column] += sum.x;
  dbias_D[column] += sum.y;
}

}  // namespace

void layer_norm(Context& ctx, Tensor& y_ND, Tensor& mean_N, Tensor& rstd_N, const Tensor& x_ND,
                const Tensor& gain_D, const Tensor& bias_D, float eps) {
  const std::int64_t rows = x_ND.dim(0), d = x_ND.dim(1);
  launch<layer_norm_kernel>(per_warp(rows), stream_of(ctx), out<float>(y_ND), out<float>(mean_N),
                            out<float>(rstd_N), in<float>(x_ND), in<float>(gain_D),
                            in<float>(bias_D), eps, rows, d);
}

void layer_norm_backward(Context& ctx, Tensor& dx_ND, Tensor& dgain_D, Tensor& dbias_D,
                         const Tensor& dy_ND, const Tensor& x_ND, const Tensor& mean_N,
                         const Tensor& rstd_N, const Tensor& gain_D) {
  const std::int64_t rows = x_ND.dim(0), d = x_ND.dim(1);
  if (rows == 0) return;
  launch<dx_kernel>(per_warp(rows), stream_of(ctx), out<float>(dx_ND), in<float>(dy_ND),
                    in<float>(x_ND), in<float>(mean_N), in<float>(rstd_N), in<float>(gain_D), rows,
                    d);
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  const auto column_blocks = static_cast<unsigned>((d + kColumns - 1) / kColumns);
  Tensor sum_CD2 = ctx.empty(DType::f32, {chunks, d, 2}, Tag::workspace);
  const std::span<float2> sum_CD{static_cast<float2*>(sum_CD2.raw()),
                                 static_cast<std::size_t>(chunks * d)};
  launch<sum_chunks_kernel>(
      {dim3(static_cast<unsigned>(chunks), column_blocks), dim3(kColumns, kParts)}, stream_of(ctx),
      out(sum_CD), in<float>(dy_ND), in<float>(x_ND), in<float>(mean_N), in<float>(rstd_N), rows,
      d);
  launch<add_chunks_kernel>({dim3(1, column_blocks), dim3(kColumns, kParts)}, stream_of(ctx),
                            update<float>(dgain_D), update<float>(dbias_D), in(sum_CD), chunks, d);
}

}  // namespace seqrank::cuda
