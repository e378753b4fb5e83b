// Element-wise functions. In-place (y is x) is allowed in both directions.
#pragma once

#include "backend/context.h"

namespace seqrank {

// gelu: x Phi(x) (Hendrycks and Gimpel 2016) in its tanh form,
//   x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x sigmoid(2 sqrt(2 / pi) (x + ...)).
// silu: x sigmoid(x).
enum class Activation { identity, tanh, relu, sigmoid, gelu, silu };

// What backward reads: the argument x, or the result y.
constexpr bool backward_reads_argument(Activation f) {
  return f == Activation::gelu || f == Activation::silu;
}

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x);  // y written
// dx = dy f'(x); written. kept: x or y, as backward_reads_argument(f) says.
void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy,
                       const Tensor& kept);

void add(Context& ctx, Tensor& y, const Tensor& x);  // y += x (f32 or f64)
// z = x y, element by element; written, and may be either.
void multiply(Context& ctx, Tensor& z, const Tensor& x, const Tensor& y);
void scale(Context& ctx, Tensor& y, float factor);    // y *= factor
void fill(Context& ctx, Tensor& y, float value);      // y = value (f32 or f64)
void copy(Context& ctx, Tensor& y, const Tensor& x);  // y = x, any type, same shape
// Columns [begin, begin + K) of y_NM = x_NK, and back.
void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK);
void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin);

}  // namespace seqrank
