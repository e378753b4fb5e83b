// The matrix product of whole tensors: gemm() with the extents read off the shapes, in fp32 or as
// the context says.
#include "backend/bf16.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"

namespace seqrank::cpu {
namespace {

Tensor in_bf16(Context& ctx, const Tensor& x) {
  Tensor rounded = ctx.empty(DType::bf16, x.shape(), Tag::workspace);
  cpu::cast(ctx, rounded, x);
  return rounded;
}

}  // namespace

void matmul(Context&, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta) {
  const std::int64_t k = a.dim(transpose_a == Transpose::yes ? 0 : 1);
  gemm(c_MN.dim(0), c_MN.dim(1), k, alpha, {a.data<float>(), a.dim(1), transpose_a},
       {b.data<float>(), b.dim(1), transpose_b}, beta, c_MN.data<float>(), c_MN.dim(1));
}

void layer_product(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a,
                   const Tensor& b, Transpose transpose_b, float beta) {
  if (ctx.precision() != Precision::bf16)
    return cpu::matmul(ctx, c_MN, a, transpose_a, b, transpose_b, 1, beta);
  const Tensor a_16 = in_bf16(ctx, a), b_16 = in_bf16(ctx, b);
  const std::int64_t k = a.dim(transpose_a == Transpose::yes ? 0 : 1);
  gemm(c_MN.dim(0), c_MN.dim(1), k, 1, {bf16_data(a_16), a.dim(1), transpose_a},
       {bf16_data(b_16), b.dim(1), transpose_b}, beta, c_MN.data<float>(), c_MN.dim(1));
}

}  // namespace seqrank::cpu
