// C = alpha op(A) op(B) + beta C on row-major matrices, the one entry to the vendor's product.
#pragma once

#include "backend/context.h"

namespace seqrank {

enum class Transpose { no, yes };

// op(a) is [M, K], op(b) is [K, N], c is [M, N]. beta = 0 writes c, beta = 1 adds to it.
// Any extent may be zero; K = 0 with beta = 0 writes zeros.
void matmul(Context& ctx, Tensor& c_MN, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, float alpha, float beta);

}  // namespace seqrank
