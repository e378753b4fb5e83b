// The matrix product of whole tensors, fp32 whatever the precision of layers.
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"

namespace seqrank::cuda {

void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta) {
  const Matrix left(a), right(b);
  exact_product(ctx, Matrix(c_MN), {left, transpose_a}, {right, transpose_b}, alpha, beta);
}

}  // namespace seqrank::cuda
