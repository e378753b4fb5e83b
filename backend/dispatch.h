// The one place that picks a device's implementation of an operator, and the one place that asks
// whether CUDA was compiled in. ops/x.cc checks shapes and calls SR_DISPATCH(ctx, x, args...);
// cpu/x.cc defines cpu::x, cuda/x.cu defines cuda::x. A missing implementation is a link error,
// never a silent fallback. Where the context only plans, nothing is computed: CUDA's
// implementations are called and launch nothing; a CPU's are not, and operators that leave memory
// for backward there, or need much, say so before they come here (`if (ctx.plans_cpu())`).
#pragma once

#include "backend/context.h"

#if SEQRANK_CUDA
#include "backend/cuda/kernels.h"
#define SR_DISPATCH(ctx, function, ...)                                  \
  (::seqrank::ProfileScope((ctx).profile(), (ctx).compute(), #function), \
   (ctx).device() == Device::cuda ? cuda::function((ctx), __VA_ARGS__)   \
   : (ctx).plans()                ? static_cast<void>(0)                 \
                                  : cpu::function((ctx), __VA_ARGS__))
#else
#define SR_DISPATCH(ctx, function, ...)                                  \
  (::seqrank::ProfileScope((ctx).profile(), (ctx).compute(), #function), \
   (ctx).plans() ? static_cast<void>(0) : cpu::function((ctx), __VA_ARGS__))
#endif
