// The reference that every speed is divided by, measured in the same run on the same cores.
// Not a benchmark of operators: those are compared with this.
#pragma once

#include "backend/context.h"

namespace seqrank {

// fp32 FLOP/s of matmul() with this context's threads, sustained for half a second on the fastest
// of a few well-shaped products, which lie in the caches of a CPU, or fill a GPU. A burst would be
// faster, but training is not made of bursts.
double measured_matmul_rate(Context& ctx);

}  // namespace seqrank
