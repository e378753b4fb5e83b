// What operators multiply by on a CUDA device: gemm() with operands rounded as the context says,
// and products without terms, which the library refuses.
#pragma once

#include "backend/context.h"
#include "backend/cuda/gemm.h"

namespace seqrank::cuda {

// x_RC as products of layers read it: itself in fp32 and tf32, else rounded into rows of a multiple
// of 8 elements, which tensor cores like. f32 only.
Matrix rounded_operand(Context& ctx, const Tensor& x_RC);

// c = alpha op(a) op(b) + beta c + bias_N (may be absent), operands as rounded_operand() made them.
// Any extent may be zero.
void layer_product(Context& ctx, Matrix c, Factor a, Factor b, float alpha, float beta,
                   const Tensor& bias_N = {});
// The same in fp32 whatever the precision, without a bias.
void exact_product(Context& ctx, Matrix c, Factor a, Factor b, float alpha, float beta);

// sum_C[c] += x[0][c] + x[1][c] + ... in one order. x is f32.
void add_column_sum(Context& ctx, Tensor& sum_C, const Matrix& x);

}  // namespace seqrank::cuda
