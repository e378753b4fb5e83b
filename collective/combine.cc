// Plain loops, which the compiler vectorises; no threads of its own.
#include "collective/combine.h"

#include <algorithm>

namespace seqrank {
namespace {

template <class T>
void combine_as(std::byte* to, const std::byte* from, std::int64_t n, Reduce op) {
  T* x = reinterpret_cast<T*>(to);
  const T* y = reinterpret_cast<const T*>(from);
  if (op == Reduce::sum)
    for (std::int64_t i = 0; i < n; ++i) x[i] = y[i] + x[i];
  if (op == Reduce::max)
    for (std::int64_t i = 0; i < n; ++i) x[i] = std::max(x[i], y[i]);
  if (op == Reduce::min)
    for (std::int64_t i = 0; i < n; ++i) x[i] = std::min(x[i], y[i]);
}

}  // namespace

void combine(DType type, std::byte* to, const std::byte* from, std::int64_t n, Reduce op) {
  if (type == DType::f32) combine_as<float>(to, from, n, op);
  if (type == DType::f64) combine_as<double>(to, from, n, op);
  if (type == DType::i32) combine_as<std::int32_t>(to, from, n, op);
  if (type == DType::i64) combine_as<std::int64_t>(to, from, n, op);
}

}  // namespace seqrank
