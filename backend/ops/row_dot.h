// Row by row: the score of a state against an item of its own.
#pragma once

#include "backend/context.h"

namespace seqrank {

// y_N[n] = sum_d a_ND[n, d] b_ND[n, d]; written. All f32.
void row_dot(Context& ctx, Tensor& y_N, const Tensor& a_ND, const Tensor& b_ND);

// da = dy b, db = dy a; written. Neither may be an operand.
void row_dot_backward(Context& ctx, Tensor& da_ND, Tensor& db_ND, const Tensor& dy_N,
                      const Tensor& a_ND, const Tensor& b_ND);

}  // namespace seqrank
