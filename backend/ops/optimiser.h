// AdamW (Loshchilov, Hutter 2019) over flat pieces, and what decides the size of its step: squared
// norm, finite check, clip. The decision stays on the device, so that the host need not wait.
#pragma once

#include "backend/context.h"

namespace seqrank {

struct AdamW {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
};

// sum_1 (f64) += sum of squares of x (f32), added in a fixed order; a NaN or infinity in x makes it
// non-finite.
void add_squared_norm(Context& ctx, Tensor& sum_1, const Tensor& x);

// scale_1 (f32) is written: min(1, clip / norm), 1 where clip = 0, and 0 where the squared norm is
// not finite, which makes adamw() leave everything as it is.
void clip_scale(Context& ctx, Tensor& scale_1, const Tensor& squared_norm_1, float clip);

// Of the elements from end_S[s - 1], or the first, up to end_S[s] (i64): decay_S[s] (f32), their
// weight decay, decoupled, and rate_S[s] (f32), by which their learning rate is multiplied. end_S
// does not fall; its last is the number of elements. So parameters of several kinds lie in one
// piece that a GPU updates at once.
struct UpdateParts {
  Tensor decay_S, rate_S, end_S;
};

// w, m, v (same shape as g) are updated with the gradient g * scale_1; where scale_1 = 0, nothing
// is written. rate: learning rate; updates >= 1 counts this update.
void adamw(Context& ctx, Tensor& w, Tensor& m, Tensor& v, const Tensor& g, const Tensor& scale_1,
           const AdamW& options, float rate, const UpdateParts& parts, std::int64_t updates);

}  // namespace seqrank
