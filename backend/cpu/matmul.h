// The matrix product of the CPU backend, on bare row-major matrices with row strides, for kernels
// that work on parts of tensors. Everything else uses backend/ops/matmul.h.
#pragma once

#include "backend/context.h"
#include "backend/ops/matmul.h"

namespace seqrank::cpu {

// Rows are `stride` floats apart.
struct ConstMatrix {
  const float* data;
  std::int64_t stride;
  Transpose transpose = Transpose::no;
};
struct MutableMatrix {
  float* data;
  std::int64_t stride;
};

// c [m, n] = alpha op(a) [m, k] op(b) [k, n] + beta c; beta = 0 writes. c overlaps neither a nor b.
// Any extent may be zero. Inside a parallel region it runs on the calling thread alone.
void product(Context& ctx, MutableMatrix c, ConstMatrix a, ConstMatrix b, std::int64_t m,
             std::int64_t n, std::int64_t k, float alpha, float beta);

void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta);

}  // namespace seqrank::cpu
