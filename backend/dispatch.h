// The one place that picks a device's implementation of an operator, and the one place that will
// ask whether CUDA was compiled in. ops/x.cc checks shapes and calls SR_DISPATCH(ctx, x, args...);
// cpu/x.cc defines cpu::x. A missing implementation is a link error, never a silent fallback.
#pragma once

#include "backend/context.h"

#define SR_DISPATCH(ctx, function, ...) \
  (::seqrank::ProfileScope((ctx).profile(), #function), cpu::function((ctx), __VA_ARGS__))
