// Copies one block to another until the time is over; the first copy, which touches the memory,
// does not count.
#include "backend/copy_rate.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/stopwatch.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kElements = 32 << 20;  // of a block: 128 MiB
constexpr double kSeconds = 0.2;

template <class Copy>
double rate(Context& ctx, double bytes_a_copy, Copy&& make) {
  make();
  ctx.compute().synchronize();
  double bytes = 0;
  const Stopwatch watch;
  do {
    make();
    ctx.compute().synchronize();
    bytes += bytes_a_copy;
  } while (watch.seconds() < kSeconds);
  return bytes / watch.seconds();
}

}  // namespace

double measured_copy_rate(Context& ctx) {
  Tensor from = ctx.empty(DType::f32, {kElements}, Tag::workspace);
  Tensor to = ctx.empty(DType::f32, {kElements}, Tag::workspace);
  fill(ctx, from, 0.5f);
  return rate(ctx, 2.0 * static_cast<double>(from.bytes()), [&] { copy(ctx, to, from); });
}

double measured_bus_rate(Context& ctx) {
  Tensor there = ctx.empty(DType::f32, {kElements}, Tag::workspace);
  Tensor here(ctx.host_arena(), DType::f32, {kElements}, Tag::workspace);
  fill(ctx, there, 0.5f);
  const auto bytes = static_cast<double>(there.bytes());
  const double to_host = rate(ctx, bytes, [&] { copy_to_host(ctx, here, there); });
  return std::min(to_host, rate(ctx, bytes, [&] { copy_to_device(ctx, there, here); }));
}

}  // namespace seqrank
