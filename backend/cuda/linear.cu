// Linear layer: matrix products of operands rounded once, the bias added by the first product. The
// gradient of the bias is a sum of its own, in fp32: the library's would be written, not added.
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"

namespace seqrank::cuda {

void linear(Context& ctx, Tensor& y_NM, const Tensor& x_NK, const Tensor& w_MK, const Tensor& b_M) {
  const Matrix x = rounded_operand(ctx, x_NK), w = rounded_operand(ctx, w_MK);
  layer_product(ctx, Matrix(y_NM), {x}, {w, Transpose::yes}, 1, 0, b_M);
}

void linear_backward(Context& ctx, Tensor& dx_NK, Tensor& dw_MK, Tensor& db_M, const Tensor& dy_NM,
                     const Tensor& x_NK, const Tensor& w_MK) {
  const Matrix dy = rounded_operand(ctx, dy_NM);
  const Matrix x = rounded_operand(ctx, x_NK);
  layer_product(ctx, Matrix(dw_MK), {dy, Transpose::yes}, {x}, 1, 1);
  if (db_M) add_column_sum(ctx, db_M, Matrix(dy_NM));
  if (!dx_NK) return;
  const Matrix w = rounded_operand(ctx, w_MK);
  layer_product(ctx, Matrix(dx_NK), {dy}, {w}, 1, 0);
}

}  // namespace seqrank::cuda
