// Contract of binary_cross_entropy(): shapes, then the device's implementation.
#include "backend/ops/binary_cross_entropy.h"

#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace cpu {

void binary_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dlogit, const Tensor& logit,
                          const Tensor& label, float scale, const Tensor& loss_scale_1);

}  // namespace cpu

void binary_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dlogit, const Tensor& logit,
                          const Tensor& label, float scale, const Tensor& loss_scale_1) {
  const char* const op = "binary_cross_entropy";
  SR_ASSERT(static_cast<bool>(logit) && static_cast<bool>(label), "{}: logit or label is absent",
            op);
  expect(op, "loss_1", loss_1, DType::f64, {1});
  expect(op, "logit", logit, DType::f32, logit.shape());
  expect(op, "dlogit", dlogit, DType::f32, logit.shape());
  expect(op, "label", label, label.dtype() == DType::u8 ? DType::u8 : DType::f32, logit.shape());
  if (loss_scale_1) expect(op, "loss_scale_1", loss_scale_1, DType::f32, {1});
  SR_DISPATCH(ctx, binary_cross_entropy, loss_1, dlogit, logit, label, scale, loss_scale_1);
}

}  // namespace seqrank
