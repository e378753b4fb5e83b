// Contract of the conversion: shapes and types, then the device's implementation.
#include "backend/ops/cast.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

bool is_half(DType type) {
  return type == DType::bf16 || type == DType::f16;
}

}  // namespace

void cast(Context& ctx, Tensor& y, const Tensor& x) {
  expect("cast", "y", y, y.dtype(), x.shape());
  const bool narrows = x.dtype() == DType::f32 && is_half(y.dtype());
  const bool widens = is_half(x.dtype()) && y.dtype() == DType::f32;
  SR_ASSERT(narrows || widens, "cast: no conversion of {} to {}", dtype_name(x.dtype()),
            dtype_name(y.dtype()));
  SR_DISPATCH(ctx, cast, y, x);
}

}  // namespace seqrank
