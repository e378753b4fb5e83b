// Products of bf16 operands with fp32 sums by oneDNN's matmul primitive; a part of gemm().
#pragma once

#include "backend/cpu/gemm.h"

namespace seqrank::cpu {

enum class Into { written, added };

// No extent is zero. Returns the library's status, 0 where it did the product.
int gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const MatrixView& a,
              const MatrixView& b, Into into, float* c, std::int64_t stride_c);

}  // namespace seqrank::cpu
