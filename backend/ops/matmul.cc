// Contract of the matrix product: shapes, then the device's implementation.
#include "backend/ops/matmul.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta) {
  expect_rank("matmul", "c_MN", c_MN, 2);
  expect_rank("matmul", "a", a, 2);
  const std::int64_t m = c_MN.dim(0), n = c_MN.dim(1);
  const std::int64_t k = a.dim(transpose_a == Transpose::yes ? 0 : 1);
  expect("matmul", "c_MN", c_MN, DType::f32, {m, n});
  expect("matmul", "a", a, DType::f32, transpose_a == Transpose::yes ? Shape{k, m} : Shape{m, k});
  expect("matmul", "b", b, DType::f32, transpose_b == Transpose::yes ? Shape{n, k} : Shape{k, n});
  ctx.count_flops(2.0 * m * n * k);
  SR_DISPATCH(ctx, matmul, c_MN, a, transpose_a, b, transpose_b, alpha, beta);
}

}  // namespace seqrank
