// Contract of the conversion: shapes and types, then the device's implementation.
#include "backend/ops/cast.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void cast(Context& ctx, Tensor& y, const Tensor& x) {
  expect("cast", "y", y, y.dtype(), x.shape());
  const bool narrows = x.dtype() == DType::f32 && y.dtype() == DType::bf16;
  const bool widens = x.dtype() == DType::bf16 && y.dtype() == DType::f32;
  SR_ASSERT(narrows || widens, "cast: no conversion of {} to {}", dtype_name(x.dtype()),
            dtype_name(y.dtype()));
  SR_DISPATCH(ctx, cast, y, x);
}

}  // namespace seqrank
