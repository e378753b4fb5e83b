// Uploads go over a stream of their own, so that the next batch travels while this one is computed.
#include "backend/transfer.h"

#include <algorithm>

#include "backend/ops/cast.h"
#include "backend/ops/unique_rows.h"

namespace seqrank {
namespace {

void expect_alike(const Tensor& host, const Tensor& x) {
  SR_ASSERT(host.dtype() == x.dtype() && host.shape() == x.shape(), "{} {} from {} {}",
            dtype_name(x.dtype()), x.shape().str(), dtype_name(host.dtype()), host.shape().str());
}

constexpr std::int64_t kConverted = 1 << 20;  // elements, at once

}  // namespace

Tensor to_device(Context& ctx, const Tensor& host, Tag tag) {
  if (ctx.device() == Device::cpu || !host) return host;
  Tensor x = ctx.empty(host.dtype(), host.shape(), tag);
  Stream& upload = ctx.upload();
  upload.wait(ctx.compute().record());  // the block may be one that earlier work still reads
  upload.copy(x.raw(), host.raw(), host.bytes(), Stream::Copy::to_device);
  const Event copied = upload.record();
  ctx.compute().wait(copied);
  ctx.keeper().keep(copied, host);
  return x;
}

UniqueRows to_device(Context& ctx, const UniqueRows& rows) {
  return {to_device(ctx, rows.id_U), to_device(ctx, rows.place_N), to_device(ctx, rows.order_N),
          to_device(ctx, rows.offset_U1)};
}

Tensor to_host(Context& ctx, const Tensor& x) {
  if (ctx.device() == Device::cpu) {
    ctx.compute().synchronize();
    return x;
  }
  Tensor host(ctx.host_arena(), x.dtype(), x.shape(), Tag::workspace);
  copy_to_host(ctx, host, x).wait();
  return host;
}

Event copy_to_host(Context& ctx, Tensor& host, const Tensor& x) {
  expect_alike(host, x);
  ctx.compute().copy(host.raw(), x.raw(), x.bytes(), Stream::Copy::to_host);
  const Event copied = ctx.compute().record();
  ctx.keeper().keep(copied, host);
  return copied;
}

Event copy_to_device(Context& ctx, Tensor& x, const Tensor& host) {
  expect_alike(host, x);
  ctx.compute().copy(x.raw(), host.raw(), x.bytes(), Stream::Copy::to_device);
  const Event copied = ctx.compute().record();
  ctx.keeper().keep(copied, host);
  return copied;
}

Tensor f32_to_host(Context& ctx, const Tensor& x) {
  if (x.dtype() == DType::f32) return to_host(ctx, x);
  Tensor host(ctx.host_arena(), DType::f32, x.shape(), Tag::workspace);
  for (std::int64_t begin = 0; begin < x.numel(); begin += kConverted) {
    const std::int64_t end = std::min(begin + kConverted, x.numel());
    Tensor there = host.flat_range(begin, end);
    const bool here = ctx.device() == Device::cpu;
    Tensor block = here ? there : ctx.empty(DType::f32, there.shape(), Tag::workspace);
    cast(ctx, block, x.flat_range(begin, end));
    if (!here) copy_to_host(ctx, there, block);
  }
  ctx.compute().synchronize();
  return host;
}

void f32_to_device(Context& ctx, Tensor& x, const Tensor& host) {
  if (x.dtype() == DType::f32) {
    copy_to_device(ctx, x, host);
    return;
  }
  for (std::int64_t begin = 0; begin < x.numel(); begin += kConverted) {
    const std::int64_t end = std::min(begin + kConverted, x.numel());
    Tensor block = x.flat_range(begin, end);
    cast(ctx, block, to_device(ctx, host.flat_range(begin, end), Tag::workspace));
  }
}

}  // namespace seqrank
