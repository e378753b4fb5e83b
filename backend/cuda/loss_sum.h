// The last launch of every loss: parts to one number, in one order.
#pragma once

#include "backend/context.h"

namespace seqrank::cuda {

// loss_1 += factor * (sum of part_N); f64.
void add_loss(Context& ctx, Tensor& loss_1, const Tensor& part_N, double factor);

}  // namespace seqrank::cuda
