// Element-wise loops. In place is the common case, so `ivdep` tells the compiler what the contract
// says: operands are the same or do not overlap. Otherwise it would run the in-place case
// unvectorised.
#include <algorithm>
#include <cstring>
#include <functional>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread

template <class F>
void map(Context& ctx, Tensor& y_out, const Tensor& x_in, F f) {
  float* y = y_out.data<float>();
  const float* x = x_in.data<float>();
  parallel_for(ctx, y_out.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

template <class F>
void map(Context& ctx, Tensor& z_out, const Tensor& x_in, const Tensor& y_in, F f) {
  float* z = z_out.data<float>();
  const float* x = x_in.data<float>();
  const float* y = y_in.data<float>();
  parallel_for(ctx, z_out.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) z[i] = f(x[i], y[i]);
  });
}

// The argument of gelu's sigmoid and its derivative.
inline float gelu_inner(float x) {
  return x * (1.5957691216f + 0.0713548162726f * x * x);
}
inline float gelu_inner_slope(float x) {
  return 1.5957691216f + 3 * 0.0713548162726f * x * x;
}

// `rows` rows of `width` floats, from one row stride to another.
void copy_rows(Context& ctx, float* y, std::int64_t stride_y, const float* x, std::int64_t stride_x,
               std::int64_t rows, std::int64_t width) {
  if (width == 0) return;
  parallel_for(ctx, rows, kGrain / width + 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      std::memcpy(y + n * stride_y, x + n * stride_x,
                  static_cast<std::size_t>(width) * sizeof(float));
  });
}

}  // namespace

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x) {
  switch (f) {
    case Activation::identity:
      return cpu::copy(ctx, y, x);
    case Activation::tanh:
      return map(ctx, y, x, [](float a) { return fast_tanh(a); });
    case Activation::relu:  // a NaN stays a NaN
      return map(ctx, y, x, [](float a) { return a < 0 ? 0.0f : a; });
    case Activation::sigmoid:
      return map(ctx, y, x, [](float a) { return fast_sigmoid(a); });
    case Activation::gelu:
      return map(ctx, y, x, [](float a) { return a * fast_sigmoid(gelu_inner(a)); });
    case Activation::silu:
      return map(ctx, y, x, [](float a) { return a * fast_sigmoid(a); });
  }
}

void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy,
                       const Tensor& kept) {
  switch (f) {
    case Activation::identity:
      return cpu::copy(ctx, dx, dy);
    case Activation::tanh:
      return map(ctx, dx, dy, kept, [](float d, float a) { return d * (1.0f - a * a); });
    case Activation::relu:
      return map(ctx, dx, dy, kept, [](float d, float a) { return a > 0 ? d : 0.0f; });
    case Activation::sigmoid:
      return map(ctx, dx, dy, kept, [](float d, float a) { return d * (a * (1.0f - a)); });
    case Activation::gelu:
      return map(ctx, dx, dy, kept, [](float d, float a) {
        const float s = fast_sigmoid(gelu_inner(a));
        return d * (s + a * gelu_inner_slope(a) * (s * (1.0f - s)));
      });
    case Activation::silu:
      return map(ctx, dx, dy, kept, [](float d, float a) {
        const float s = fast_sigmoid(a);
        return d * (s + a * (s * (1.0f - s)));
      });
  }
}

void add(Context& ctx, Tensor& y, const Tensor& x) {
  if (y.dtype() == DType::f64) {  // sums of a few elements
    std::ranges::transform(y.span<double>(), x.span<double>(), y.data<double>(), std::plus<>());
    return;
  }
  map(ctx, y, y, x, [](float a, float b) { return a + b; });
}

void multiply(Context& ctx, Tensor& z, const Tensor& x, const Tensor& y) {
  map(ctx, z, x, y, [](float a, float b) { return a * b; });
}

void scale(Context& ctx, Tensor& y, float factor) {
  map(ctx, y, y, [factor](float a) { return a * factor; });
}

void fill(Context& ctx, Tensor& y, float value) {
  if (y.dtype() == DType::f64) {  // sums of a few elements
    std::ranges::fill(y.span<double>(), value);
    return;
  }
  float* data = y.data<float>();
  parallel_for(ctx, y.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    std::fill(data + begin, data + end, value);
  });
}

void copy(Context& ctx, Tensor& y, const Tensor& x) {
  if (y.raw() == x.raw()) return;
  char* to = static_cast<char*>(y.raw());
  const char* from = static_cast<const char*>(x.raw());
  parallel_for(ctx, static_cast<std::int64_t>(y.bytes()), kGrain * 4,
               [=](std::int64_t begin, std::int64_t end) {
                 std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin));
               });
}

void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK) {
  copy_rows(ctx, y_NM.data<float>() + begin, y_NM.dim(1), x_NK.data<float>(), x_NK.dim(1),
            x_NK.dim(0), x_NK.dim(1));
}

void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin) {
  copy_rows(ctx, y_NK.data<float>(), y_NK.dim(1), x_NM.data<float>() + begin, x_NM.dim(1),
            y_NK.dim(0), y_NK.dim(1));
}

}  // namespace seqrank::cpu
