// Conversions one element at a time, in loops that vectorise.
#include "backend/cpu/bf16.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements worth a thread

template <class To, class From, class Convert>
void convert(Context& ctx, To* to, const From* from, std::int64_t n, Convert f) {
  parallel_for(ctx, n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
  });
}

}  // namespace

void cast(Context& ctx, Tensor& y, const Tensor& x) {
  const std::int64_t n = x.numel();
  if (y.dtype() == DType::bf16)
    convert(ctx, bf16_data(y), x.data<float>(), n, [](float v) { return to_bf16(v); });
  else
    convert(ctx, y.data<float>(), bf16_data(x), n, [](std::uint16_t v) { return from_bf16(v); });
}

}  // namespace seqrank::cpu
