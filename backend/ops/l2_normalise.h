// Rows scaled to length one: y = x / max(|x|, 1e-12).
#pragma once

#include "backend/context.h"

namespace seqrank {

// y_ND and norm_N (|x|, at least 1e-12) are written.
void l2_normalise(Context& ctx, Tensor& y_ND, Tensor& norm_N, const Tensor& x_ND);
// dx_ND is written: (dy - y (y . dy)) / norm, and zero where the norm was raised to 1e-12: there is
// no direction to follow, and dividing by it would overflow.
void l2_normalise_backward(Context& ctx, Tensor& dx_ND, const Tensor& dy_ND, const Tensor& y_ND,
                           const Tensor& norm_N);

}  // namespace seqrank
