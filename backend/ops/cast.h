// Between the types that matrix products multiply in and fp32.
#pragma once

#include "backend/context.h"

namespace seqrank {

// y = x of the same shape; written. f32 to bf16 or f16: to nearest, ties to even, NaN stays NaN,
// too large becomes infinite. Back: exact. y and x do not overlap.
void cast(Context& ctx, Tensor& y, const Tensor& x);

}  // namespace seqrank
