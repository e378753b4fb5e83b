// Contract of the element-wise operators: shapes, then the device's implementation.
#include "backend/ops/activation.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void check_columns(const char* op, const Tensor& wide_NM, std::int64_t begin,
                   const Tensor& narrow_NK) {
  expect_rank(op, "the wide tensor", wide_NM, 2);
  expect_rank(op, "the narrow tensor", narrow_NK, 2);
  const std::int64_t n = wide_NM.dim(0), m = wide_NM.dim(1), k = narrow_NK.dim(1);
  expect(op, "the wide tensor", wide_NM, DType::f32, {n, m});
  expect(op, "the narrow tensor", narrow_NK, DType::f32, {n, k});
  SR_ASSERT(0 <= begin && begin + k <= m, "{}: columns {}..{} of {}", op, begin, begin + k, m);
}

}  // namespace

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x) {
  expect("activate", "x", x, DType::f32, x.shape());
  expect("activate", "y", y, DType::f32, x.shape());
  SR_DISPATCH(ctx, activate, f, y, x);
}

void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy,
                       const Tensor& kept) {
  expect("activate_backward", "what is kept", kept, DType::f32, kept.shape());
  expect("activate_backward", "dy", dy, DType::f32, kept.shape());
  expect("activate_backward", "dx", dx, DType::f32, kept.shape());
  SR_DISPATCH(ctx, activate_backward, f, dx, dy, kept);
}

void add(Context& ctx, Tensor& y, const Tensor& x) {
  const DType dtype = y.dtype() == DType::f64 ? DType::f64 : DType::f32;
  expect("add", "x", x, dtype, x.shape());
  expect("add", "y", y, dtype, x.shape());
  SR_DISPATCH(ctx, add, y, x);
}

void multiply(Context& ctx, Tensor& z, const Tensor& x, const Tensor& y) {
  expect("multiply", "x", x, DType::f32, x.shape());
  expect("multiply", "y", y, DType::f32, x.shape());
  expect("multiply", "z", z, DType::f32, x.shape());
  SR_DISPATCH(ctx, multiply, z, x, y);
}

void scale(Context& ctx, Tensor& y, float factor) {
  expect("scale", "y", y, DType::f32, y.shape());
  SR_DISPATCH(ctx, scale, y, factor);
}

void fill(Context& ctx, Tensor& y, float value) {
  expect("fill", "y", y, y.dtype() == DType::f64 ? DType::f64 : DType::f32, y.shape());
  SR_DISPATCH(ctx, fill, y, value);
}

void copy(Context& ctx, Tensor& y, const Tensor& x) {
  expect("copy", "x", x, x.dtype(), x.shape());
  expect("copy", "y", y, x.dtype(), x.shape());
  SR_DISPATCH(ctx, copy, y, x);
}

void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK) {
  check_columns("copy_into_columns", y_NM, begin, x_NK);
  SR_DISPATCH(ctx, copy_into_columns, y_NM, begin, x_NK);
}

void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin) {
  check_columns("copy_from_columns", x_NM, begin, y_NK);
  SR_DISPATCH(ctx, copy_from_columns, y_NK, x_NM, begin);
}

}  // namespace seqrank
