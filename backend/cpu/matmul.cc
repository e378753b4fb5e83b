// The matrix product of whole tensors: gemm() with the extents read off the shapes.
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"

namespace seqrank::cpu {

void matmul(Context&, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta) {
  const std::int64_t k = a.dim(transpose_a == Transpose::yes ? 0 : 1);
  gemm(c_MN.dim(0), c_MN.dim(1), k, alpha, {a.data<float>(), a.dim(1), transpose_a},
       {b.data<float>(), b.dim(1), transpose_b}, beta, c_MN.data<float>(), c_MN.dim(1));
}

}  // namespace seqrank::cpu
