// Tensors between the host and the device of a Context. On the CPU there is one memory: nothing is
// copied, the tensor itself comes back.
#pragma once

#include "backend/context.h"

namespace seqrank {

struct UniqueRows;  // backend/ops/unique_rows.h

// A copy on the device of a tensor from ctx.host_arena(), ready for later work of the compute
// stream. Returns at once; `host` must not be written to any more.
Tensor to_device(Context& ctx, const Tensor& host, Tag tag = Tag::batch);
// All four lists of it.
UniqueRows to_device(Context& ctx, const UniqueRows& rows);
// What x holds after all that is enqueued on the compute stream; blocks the host.
Tensor to_host(Context& ctx, const Tensor& x);

// Elements from one to the other, in the order of the compute stream, by way of pinned memory.
// `host` is from ctx.host_arena(), of x's type and shape, and not to be touched before the event.
Event copy_to_host(Context& ctx, Tensor& host, const Tensor& x);
Event copy_to_device(Context& ctx, Tensor& x, const Tensor& host);

// Of x, which is f32 or bf16, the host has f32: blocks of it are converted, so that no second copy
// of x lies on the device. Into bf16: to nearest. The first blocks the host, as to_host() does.
Tensor f32_to_host(Context& ctx, const Tensor& x);
void f32_to_device(Context& ctx, Tensor& x, const Tensor& host);

}  // namespace seqrank
