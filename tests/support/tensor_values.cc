// Element by element conversion; nothing here knows what the values mean.
#include "tests/support/tensor_values.h"

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
    default:
      SR_CHECK(false, ErrorKind::usage, "no test values of type {}", dtype_name(tensor.dtype()));
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
    default:
      SR_CHECK(false, ErrorKind::usage, "no test values of type {}", dtype_name(tensor.dtype()));
  }
  return {};
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
