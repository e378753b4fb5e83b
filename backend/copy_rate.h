// How fast memory is read and written, and reached from a device: the reference beside
// matmul_rate.h for work that moves bytes rather than multiplies. Measured in the same run on the
// same cores.
#pragma once

#include "backend/context.h"

namespace seqrank {

// Bytes/s of copy() with this context's threads over blocks that no cache of a CPU holds, read and
// written counted, sustained for a fifth of a second. Takes 256 MiB while it runs.
double measured_copy_rate(Context& ctx);

// Bytes/s between pinned memory of the host and a CUDA device, one way at a time, the slower of
// both; likewise.
double measured_bus_rate(Context& ctx);

}  // namespace seqrank
