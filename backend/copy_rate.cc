// Copies one block to another until the time is over; the first copy, which touches the memory,
// does not count.
#include "backend/copy_rate.h"

#include "backend/ops/activation.h"
#include "backend/stopwatch.h"

namespace seqrank {
namespace {

constexpr std::int64_t kElements = 32 << 20;  // of a block: 128 MiB
constexpr double kSeconds = 0.2;

}  // namespace

double measured_copy_rate(Context& ctx) {
  Tensor from = ctx.empty(DType::f32, {kElements}, Tag::workspace);
  Tensor to = ctx.empty(DType::f32, {kElements}, Tag::workspace);
  fill(ctx, from, 0.5f);
  copy(ctx, to, from);
  ctx.compute().synchronize();
  double bytes = 0;
  const Stopwatch watch;
  do {
    copy(ctx, to, from);
    ctx.compute().synchronize();
    bytes += 2.0 * static_cast<double>(from.bytes());
  } while (watch.seconds() < kSeconds);
  return bytes / watch.seconds();
}

}  // namespace seqrank
