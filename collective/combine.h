// The one reduction of two pieces of host memory, shared by the transports that add by themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/tensor.h"
#include "collective/communicator.h"

namespace seqrank {

// x[i] = op(y[i], x[i]) for n elements of `type`, which must be one that can be reduced.
void combine(DType type, std::byte* x, const std::byte* y, std::int64_t n, Reduce op);

}  // namespace seqrank
