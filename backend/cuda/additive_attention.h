// What the two forms of additive attention share on a CUDA device.
#pragma once

#include "backend/context.h"

namespace seqrank::cuda {

// dot_N[n] = x_ND[n] . y_ND[n] - minus_N[n]; written. minus_N may be absent.
void row_dots(Context& ctx, Tensor& dot_N, const Tensor& x_ND, const Tensor& y_ND,
              const Tensor& minus_N = {});

}  // namespace seqrank::cuda
