// Element-wise functions on a CUDA device. All are bound by memory: 8 bytes an element for
// activate(), scale() and the copies of columns, 12 for activate_backward() and add(), 4 for
// fill(). Hence four elements a thread, all of them read before the first is written.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__device__ inline float sigmoid(float x) {
  return 1.f / (1.f + expf(-x));
}
// The argument of gelu's sigmoid and its derivative.
__device__ inline float gelu_inner(float x) {
  return x * (1.5957691216f + 0.0713548162726f * x * x);
}
__device__ inline float gelu_inner_slope(float x) {
  return 1.5957691216f + 3 * 0.0713548162726f * x * x;
}

__device__ inline float activated(Activation f, float x) {
  switch (f) {
    case Activation::tanh:
      return tanhf(x);
    case Activation::relu:
      return x < 0.f ? 0.f : x;  // NaN stays NaN
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::gelu:
      return x * sigmoid(gelu_inner(x));
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::identity:
      break;
  }
  return x;
}

// f'(x) from what is kept for it.
__device__ inline float slope(Activation f, float kept) {
  switch (f) {
    case Activation::tanh:
      return 1.f - kept * kept;
    case Activation::relu:
      return kept > 0.f ? 1.f : 0.f;
    case Activation::sigmoid:
      return kept * (1.f - kept);
    case Activation::gelu: {
      const float s = sigmoid(gelu_inner(kept));
      return s + kept * gelu_inner_slope(kept) * (s * (1.f - s));
    }
    case Activation::silu: {
      const float s = sigmoid(kept);
      return s + kept * (s * (1.f - s));
    }
    case Activation::identity:
      break;
  }
  return 1.f;
}

// y may be x, so all of them are updates of y.
__global__ void activate_kernel(Activation f, float* y, const float* x, std::int64_t n) {
  const FourElements at(n);
  float value[kPerThread];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) value[i] = x[at[i]];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) y[at[i]] = activated(f, value[i]);
}
__global__ void activate_backward_kernel(Activation f, float* dx, const float* dy,
                                         const float* kept, std::int64_t n) {
  const FourElements at(n);
  float upstream[kPerThread], value[kPerThread];
  for (int i = 0; i < kPerThread; ++i) {
    if (!at.has(i)) continue;
    upstream[i] = dy[at[i]];
    value[i] = kept[at[i]];
  }
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) dx[at[i]] = upstream[i] * slope(f, value[i]);
}
template <class T>
__global__ void add_kernel(T* y, const T* x, std::int64_t n) {
  const FourElements at(n);
  T sum[kPerThread];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) sum[i] = y[at[i]] + x[at[i]];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) y[at[i]] = sum[i];
}
__global__ void multiply_kernel(float* z, const float* x, const float* y, std::int64_t n) {
  const FourElements at(n);
  float product[kPerThread];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) product[i] = x[at[i]] * y[at[i]];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) z[at[i]] = product[i];
}
__global__ void scale_kernel(float* y, float factor, std::int64_t n) {
  const FourElements at(n);
  float value[kPerThread];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) value[i] = y[at[i]];
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) y[at[i]] = value[i] * factor;
}
template <class T>
__global__ void fill_kernel(T* y, float value, std::int64_t n) {
  const FourElements at(n);
  for (int i = 0; i < kPerThread; ++i)
    if (at.has(i)) y[at[i]] = static_cast<T>(value);
}
// Columns [begin, begin + k) of a matrix of m columns.
__global__ void into_columns_kernel(float* y_NM, const float* x_NK, std::int64_t rows,
                                    std::int64_t m, std::int64_t k, std::int64_t begin) {
  const std::int64_t n = row_index(), column = column_index();
  if (n < rows && column < k) y_NM[n * m + begin + column] = x_NK[n * k + column];
}
__global__ void from_columns_kernel(float* y_NK, const float* x_NM, std::int64_t rows,
                                    std::int64_t m, std::int64_t k, std::int64_t begin) {
  const std::int64_t n = row_index(), column = column_index();
  if (n < rows && column < k) y_NK[n * k + column] = x_NM[n * m + begin + column];
}

}  // namespace

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x) {
  launch<activate_kernel>(per_four_elements(y.numel()), stream_of(ctx), f, update<float>(y),
                          in<float>(x), y.numel());
}

void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy,
                       const Tensor& kept) {
  launch<activate_backward_kernel>(per_four_elements(dx.numel()), stream_of(ctx), f,
                                   update<float>(dx), in<float>(dy), in<float>(kept), dx.numel());
}

void add(Context& ctx, Tensor& y, const Tensor& x) {
  if (y.dtype() == DType::f64)
    launch<add_kernel<double>>(per_four_elements(y.numel()), stream_of(ctx), update<double>(y),
                               in<double>(x), y.numel());
  else
    launch<add_kernel<float>>(per_four_elements(y.numel()), stream_of(ctx), update<float>(y),
                              in<float>(x), y.numel());
}

void multiply(Context& ctx, Tensor& z, const Tensor& x, const Tensor& y) {
  launch<multiply_kernel>(per_four_elements(z.numel()), stream_of(ctx), update<float>(z),
                          in<float>(x), in<float>(y), z.numel());
}

void scale(Context& ctx, Tensor& y, float factor) {
  launch<scale_kernel>(per_four_elements(y.numel()), stream_of(ctx), update<float>(y), factor,
                       y.numel());
}

void fill(Context& ctx, Tensor& y, float value) {
  if (y.dtype() == DType::f64)
    launch<fill_kernel<double>>(per_four_elements(y.numel()), stream_of(ctx), out<double>(y), value,
                                y.numel());
  else
    launch<fill_kernel<float>>(per_four_elements(y.numel()), stream_of(ctx), out<float>(y), value,
                               y.numel());
}

void copy(Context& ctx, Tensor& y, const Tensor& x) {
  ctx.compute().copy(y.raw(), x.raw(), x.bytes(), Stream::Copy::on_device);
}

void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK) {
  const std::int64_t rows = x_NK.dim(0), k = x_NK.dim(1);
  launch<into_columns_kernel>(per_row_and_column(rows, k), stream_of(ctx), update<float>(y_NM),
                              in<float>(x_NK), rows, y_NM.dim(1), k, begin);
}

void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin) {
  const std::int64_t rows = y_NK.dim(0), k = y_NK.dim(1);
  launch<from_columns_kernel>(per_row_and_column(rows, k), stream_of(ctx), out<float>(y_NK),
                              in<float>(x_NM), rows, x_NM.dim(1), k, begin);
}

}  // namespace seqrank::cuda
