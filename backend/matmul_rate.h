// The reference that every speed is divided by, measured in the same run on the same cores.
// Not a benchmark of operators: those are compared with this.
#pragma once

#include "backend/context.h"

namespace seqrank {

// Best fp32 FLOP/s of matmul() with this context's threads, over a few
// well-shaped products that lie in the caches. Takes about half a second.
double measured_matmul_rate(Context& ctx);

}  // namespace seqrank
