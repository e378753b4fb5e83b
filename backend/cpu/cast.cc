// Conversions one element at a time, in loops that vectorise.
#include "backend/bf16.h"
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

std::uint16_t to_f16(float x) {
  return std::bit_cast<std::uint16_t>(static_cast<_Float16>(x));
}
float from_f16(std::uint16_t bits) {
  return std::bit_cast<_Float16>(bits);
}

}  // namespace

void cast(Context& ctx, Tensor& y, const Tensor& x) {
  const std::int64_t n = x.numel();
  const auto narrow = [&](auto f) {
    convert(ctx, static_cast<std::uint16_t*>(y.raw()), x.data<float>(), n, f);
  };
  const auto widen = [&](auto f) {
    convert(ctx, y.data<float>(), static_cast<const std::uint16_t*>(x.raw()), n, f);
  };
  if (y.dtype() == DType::bf16)
    narrow([](float v) { return to_bf16(v); });
  else if (y.dtype() == DType::f16)
    narrow([](float v) { return to_f16(v); });
  else if (x.dtype() == DType::bf16)
    widen([](std::uint16_t v) { return from_bf16(v); });
  else
    widen([](std::uint16_t v) { return from_f16(v); });
}

}  // namespace seqrank::cpu
