// Memory of the host that a device reads and writes where it lies, over the bus.
#pragma once

#include <memory>

#include "backend/context.h"

namespace seqrank {

// Of each block the first `device_share` (0 to 1) lies on the device instead. Blocks are used in
// the order of ctx's compute stream, and by the host through copies alone; obtain them while ctx
// lives. Not of a CPU, unless it plans: then nothing lies behind them. Throws Error(device) where
// the device cannot do that.
std::unique_ptr<Memory> make_mapped_memory(Context& ctx, double device_share);

}  // namespace seqrank
