// Element by element conversion; nothing here knows what the values mean.
#include "tests/support/tensor_values.h"

#include <cmath>
#include <limits>

#include "backend/bf16.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

template <class T>
void set_typed(Tensor& tensor, const std::vector<double>& values) {
  auto out = tensor.span<T>();
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<T>(values[i]);
}

template <class T>
std::vector<double> get_typed(const Tensor& tensor) {
  auto in = tensor.span<T>();
  return std::vector<double>(in.begin(), in.end());
}

// To nearest, ties to even.
std::uint16_t f16_bits(double x) {
  const unsigned sign = std::signbit(x) ? 0x8000u : 0;
  if (std::isnan(x)) return 0x7e00u;
  if (std::fabs(x) >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00u);
  int exponent = 0;
  std::frexp(x, &exponent);
  exponent = std::max(exponent - 1, -14);
  // 1024 steps to the next power of two; a carry out of the mantissa is right as it is.
  const double steps = std::nearbyint(std::ldexp(std::fabs(x), 10 - exponent));
  return static_cast<std::uint16_t>(
      sign | (static_cast<unsigned>(exponent + 14) * 1024 + static_cast<unsigned>(steps)));
}

double f16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31)
    return mantissa == 0 ? sign * INFINITY : std::numeric_limits<double>::quiet_NaN();
  return sign *
         (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

void set_16(Tensor& tensor, const std::vector<double>& values) {
  auto* out = static_cast<std::uint16_t*>(tensor.raw());
  for (std::size_t i = 0; i < values.size(); ++i)
    out[i] = tensor.dtype() == DType::bf16 ? to_bf16(static_cast<float>(values[i]))
                                           : f16_bits(values[i]);
}

std::vector<double> get_16(const Tensor& tensor) {
  const auto* in = static_cast<const std::uint16_t*>(tensor.raw());
  std::vector<double> values(tensor.numel());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = tensor.dtype() == DType::bf16 ? from_bf16(in[i]) : f16_value(in[i]);
  return values;
}

}  // namespace

void set_values(Tensor& tensor, const std::vector<double>& values) {
  SR_CHECK(tensor.numel() == static_cast<std::int64_t>(values.size()), ErrorKind::usage,
           "{} values for a tensor of shape {}", values.size(), tensor.shape().str());
  switch (tensor.dtype()) {
    case DType::f32:
      return set_typed<float>(tensor, values);
    case DType::f64:
      return set_typed<double>(tensor, values);
    case DType::i32:
      return set_typed<std::int32_t>(tensor, values);
    case DType::i64:
      return set_typed<std::int64_t>(tensor, values);
    case DType::u8:
      return set_typed<std::uint8_t>(tensor, values);
    case DType::bf16:
    case DType::f16:
      return set_16(tensor, values);
  }
}

std::vector<double> get_values(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return get_typed<float>(tensor);
    case DType::f64:
      return get_typed<double>(tensor);
    case DType::i32:
      return get_typed<std::int32_t>(tensor);
    case DType::i64:
      return get_typed<std::int64_t>(tensor);
    case DType::u8:
      return get_typed<std::uint8_t>(tensor);
    case DType::bf16:
    case DType::f16:
      return get_16(tensor);
  }
  SR_ASSERT(false, "test values of type {}", dtype_name(tensor.dtype()));
}

void set_values(Context& ctx, Tensor& tensor, const std::vector<double>& values) {
  Tensor host = ctx.device() == Device::cpu
                    ? tensor
                    : Tensor(ctx.host_arena(), tensor.dtype(), tensor.shape(), Tag::batch);
  set_values(host, values);
  copy_to_device(ctx, tensor, host);
}

std::vector<double> get_values(Context& ctx, const Tensor& tensor) {
  return get_values(to_host(ctx, tensor));
}

}  // namespace seqrank
