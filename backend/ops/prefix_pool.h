// Pooling of each packed sequence's values up to and including every event.
#pragma once

#include "backend/context.h"

namespace seqrank {

enum class Pool { last, sum, mean, max };

// y_ND[t] = pool of x_ND[j], j <= t in the same sequence; written. argmax_ND (i32, written for max
// only, the event that holds the maximum, the earliest of equal ones) may be absent otherwise.
void prefix_pool(Context& ctx, Pool kind, Tensor& y_ND, Tensor& argmax_ND, const Tensor& x_ND,
                 const Tensor& offset_B1);
// dx_ND is written.
void prefix_pool_backward(Context& ctx, Pool kind, Tensor& dx_ND, const Tensor& dy_ND,
                          const Tensor& argmax_ND, const Tensor& offset_B1);

}  // namespace seqrank
