// Element-wise functions. In-place (y is x) is allowed in both directions.
#pragma once

#include "backend/context.h"

namespace seqrank {

enum class Activation { identity, tanh, relu, sigmoid };

void activate(Context& ctx, Activation f, Tensor& y, const Tensor& x);  // y written
// dx = dy f'(x), from the *result* y = f(x); written.
void activate_backward(Context& ctx, Activation f, Tensor& dx, const Tensor& dy, const Tensor& y);

void add(Context& ctx, Tensor& y, const Tensor& x);   // y += x
void scale(Context& ctx, Tensor& y, float factor);    // y *= factor
void fill(Context& ctx, Tensor& y, float value);      // y = value (f32 or f64)
void copy(Context& ctx, Tensor& y, const Tensor& x);  // y = x, any type, same shape
// Columns [begin, begin + K) of y_NM = x_NK, and back.
void copy_into_columns(Context& ctx, Tensor& y_NM, std::int64_t begin, const Tensor& x_NK);
void copy_from_columns(Context& ctx, Tensor& y_NK, const Tensor& x_NM, std::int64_t begin);

}  // namespace seqrank
