// Element-wise functions on a CUDA device: one thread an element.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__device__ inline float activated(Activation f, float x) {
  switch (f) {
    case Activation::tanh:
      return tanhf(x);
    case Activation::relu:
      return fmaxf(x, 0.f);
    case Activation::sigmoid:
      return 1.f / (1.f + expf(-x));
    case Activation::identity:
      break;
  }
  return x;
}

// f'(x) from y = f(x).
__device__ inline float slope(Activation f, float y) {
  switch (f) {
    case Activation::tanh:
      return 1.f - y * y;
    case Activation::relu:
      return y > 0.f ? 1.f : 0.f;
    case Activation::sigmoid:
      return y * (1.f - y);
    case Activation::identity:
      break;
  }
  return 1.f;
}

// y may be x, so all of them are updates of y.
__global__ void activate_kernel(Activation f, float* y, const float* x, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] = activated(f, x[i]);
}
__global__ void activate_backward_kernel(Activation f, float* dx, const float* dy, const float* y,
                                         std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) dx[i] = dy[i] * slope(f, y[i]);
}
__global__ void add_kernel(float* y, const float* x, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] += x[i];
}
__global__ void scale_kernel(float* y, float factor, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] *= factor;
}
template <class T>
__global__ void fill_kernel(T* y, float value, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] = static_cast<T>(value);
}
// Columns [begin, begin + k) of a matrix of m columns.
__global__ void into_columns_kernel(float* y_NM, const float* x_NK, std::int64_t m, std::int64_t k,
                                    std::int64_t begin, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y_NM[i / k * m + begin + i % k] = x_NK[i];
}
__global__ void from_columns_kernel(float* y_NK, const float* x_NM, std::int64_t m, std::int64_t k,
                                    std::int64_t begin, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y_NK[i] = x_NM[i / k * m + begin + i % k];
}

}  // namespace

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x) {
  launch<activate_kernel>(per_element(y.numel()), stream_of(ctx), f, update<float>(y), in<float>(x),
                          y.numel());
}

void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy, const Tensor& y) {
  launch<activate_backward_kernel>(per_element(dx.numel()), stream_of(ctx), f, update<float>(dx),
                                   in<float>(dy), in<float>(y), dx.numel());
}

void add(Context& ctx, Tensor& y, const Tensor& x) {
  launch<add_kernel>(per_element(y.numel()), stream_of(ctx), update<float>(y), in<float>(x),
                     y.numel());
}

void scale(Context& ctx, Tensor& y, float factor) {
  launch<scale_kernel>(per_element(y.numel()), stream_of(ctx), update<float>(y), factor, y.numel());
}

void fill(Context& ctx, Tensor& y, float value) {
  if (y.dtype() == DType::f64)
    launch<fill_kernel<double>>(per_element(y.numel()), stream_of(ctx), out<double>(y), value,
                                y.numel());
  else
    launch<fill_kernel<float>>(per_element(y.numel()), stream_of(ctx), out<float>(y), value,
                               y.numel());
}

void copy(Context& ctx, Tensor& y, const Tensor& x) {
  ctx.compute().copy(y.raw(), x.raw(), x.bytes(), Stream::Copy::on_device);
}

void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK) {
  launch<into_columns_kernel>(per_element(x_NK.numel()), stream_of(ctx), update<float>(y_NM),
                              in<float>(x_NK), y_NM.dim(1), x_NK.dim(1), begin, x_NK.numel());
}

void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin) {
  launch<from_columns_kernel>(per_element(y_NK.numel()), stream_of(ctx), out<float>(y_NK),
                              in<float>(x_NM), x_NM.dim(1), y_NK.dim(1), begin, y_NK.numel());
}

}  // namespace seqrank::cuda
