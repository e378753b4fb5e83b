// Contract of dropout: shapes and ranges, then the device's implementation.
#include "backend/ops/dropout.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void dropout(Context& ctx, Tensor& y_ND, const Tensor& x_ND, const DropoutKey& key,
             const Tensor& place_B, const Tensor& offset_B1) {
  expect_rank("dropout", "x_ND", x_ND, 2);
  expect_rank("dropout", "place_B", place_B, 1);
  expect("dropout", "x_ND", x_ND, DType::f32, x_ND.shape());
  expect("dropout", "y_ND", y_ND, DType::f32, x_ND.shape());
  expect("dropout", "place_B", place_B, DType::i64, place_B.shape());
  expect("dropout", "offset_B1", offset_B1, DType::i32, {place_B.dim(0) + 1});
  SR_ASSERT(key.rate >= 0 && key.rate < 1, "dropout: rate {} is not in [0, 1)", key.rate);
  SR_ASSERT(key.layer < 256, "dropout: layer {} does not fit the counter's 8 bits", key.layer);
  SR_DISPATCH(ctx, dropout, y_ND, x_ND, key, place_B, offset_B1);
}

}  // namespace seqrank
