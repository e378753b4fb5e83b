// Conversions between fp32 and the two 16-bit types on a CUDA device: one thread an element.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/number.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

template <class To, class From>
__global__ void cast_kernel(To* y, const From* x, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] = from_float<To>(to_float(x[i]));
}

template <class To, class From>
void launch_cast(Context& ctx, Tensor& y, const Tensor& x) {
  launch<cast_kernel<To, From>>(per_element(x.numel()), stream_of(ctx), out<To>(y), in<From>(x),
                                x.numel());
}

}  // namespace

void cast(Context& ctx, Tensor& y, const Tensor& x) {
  if (y.dtype() == DType::bf16)
    launch_cast<__nv_bfloat16, float>(ctx, y, x);
  else if (y.dtype() == DType::f16)
    launch_cast<__half, float>(ctx, y, x);
  else if (x.dtype() == DType::bf16)
    launch_cast<float, __nv_bfloat16>(ctx, y, x);
  else
    launch_cast<float, __half>(ctx, y, x);
}

}  // namespace seqrank::cuda
