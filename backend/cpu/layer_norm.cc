// Layer normalisation, one row at a time; `omp simd` only lets the sums of a row use vectors.
#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 13;  // elements worth a thread
constexpr std::int64_t kChunkRows = 128;  // rows whose gain and bias gradients are summed as one

// One row of the backward pass; sums_2D (gain, then bias) is added to.
void backward_row(float* dx, float* sums_2D, const float* dy, const float* x, const float* gain,
                  float mean, float rstd, std::int64_t d) {
  float sum = 0, dot = 0;  // of g = dy gain, and of g with the normalised x
#pragma omp simd reduction(+ : sum, dot)
  for (std::int64_t j = 0; j < d; ++j) {
    const float g = dy[j] * gain[j];
    sum += g;
    dot += g * ((x[j] - mean) * rstd);
  }
  const float mean_g = sum / static_cast<float>(d);
  const float mean_dot = dot / static_cast<float>(d);
  float* dgain = sums_2D;
  float* dbias = sums_2D + d;
#pragma GCC ivdep
  for (std::int64_t j = 0; j < d; ++j) {
    const float upstream = dy[j];
    const float normal = (x[j] - mean) * rstd;
    dgain[j] += upstream * normal;
    dbias[j] += upstream;
    dx[j] = rstd * (upstream * gain[j] - mean_g - normal * mean_dot);
  }
}

}  // namespace

void layer_norm(Context& ctx, Tensor& y_ND, Tensor& mean_N, Tensor& rstd_N, const Tensor& x_ND,
                const Tensor& gain_D, const Tensor& bias_D, float eps) {
  const std::int64_t d = x_ND.dim(1);
  float* all_y = y_ND.data<float>();
  float* means = mean_N.data<float>();
  float* rstds = rstd_N.data<float>();
  const float* all_x = x_ND.data<float>();
  const float* gain = gain_D.data<float>();
  const float* bias = bias_D.data<float>();
  parallel_for(ctx, x_ND.dim(0), kGrain / d + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const float* x = all_x + n * d;
      float* y = all_y + n * d;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t j = 0; j < d; ++j) sum += x[j];
      const float mean = sum / static_cast<float>(d);
      float squares = 0;  // about the mean: no cancellation
#pragma omp simd reduction(+ : squares)
      for (std::int64_t j = 0; j < d; ++j) squares += (x[j] - mean) * (x[j] - mean);
      const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(d) + eps);
      means[n] = mean;
      rstds[n] = rstd;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) y[j] = (x[j] - mean) * rstd * gain[j] + bias[j];
    }
  });
}

void layer_norm_backward(Context& ctx, Tensor& dx_ND, Tensor& dgain_D, Tensor& dbias_D,
                         const Tensor& dy_ND, const Tensor& x_ND, const Tensor& mean_N,
                         const Tensor& rstd_N, const Tensor& gain_D) {
  const std::int64_t rows = x_ND.dim(0), d = x_ND.dim(1);
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  // Sums per chunk of rows, whatever the threads, then added up in order.
  Tensor sums_C2D = ctx.empty(DType::f32, {chunks, 2 * d}, Tag::workspace);
  float* sums = sums_C2D.data<float>();
  float* dx = dx_ND.data<float>();
  const float* dy = dy_ND.data<float>();
  const float* x = x_ND.data<float>();
  const float* mean = mean_N.data<float>();
  const float* rstd = rstd_N.data<float>();
  const float* gain = gain_D.data<float>();
  parallel_for(ctx, chunks, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      float* sums_2D = sums + chunk * 2 * d;
      std::fill(sums_2D, sums_2D + 2 * d, 0.0f);
      const std::int64_t last = std::min(rows, (chunk + 1) * kChunkRows);
      for (std::int64_t n = chunk * kChunkRows; n < last; ++n)
        backward_row(dx + n * d, sums_2D, dy + n * d, x + n * d, gain, mean[n], rstd[n], d);
    }
  });
  float* dgain = dgain_D.data<float>();
  float* dbias = dbias_D.data<float>();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const float* sums_2D = sums + chunk * 2 * d;
    for (std::int64_t j = 0; j < d; ++j) dgain[j] += sums_2D[j];
    for (std::int64_t j = 0; j < d; ++j) dbias[j] += sums_2D[d + j];
  }
}

}  // namespace seqrank::cpu
