// The vendor's fp32 matrix product on plain pointers, for CPU kernels that work on parts of
// matrices. matmul() is the operator; this knows no tensors and checks no shapes.
#pragma once

#include <cstdint>
#include <string>

#include "backend/ops/matmul.h"

namespace seqrank::cpu {

struct MatrixView {
  const float* data;
  std::int64_t stride;  // elements from row to row, as it lies in memory
  Transpose transpose = Transpose::no;
};

// c [m, n] = alpha op(a) op(b) + beta c, row-major; op(a) is [m, k], op(b) is [k, n]; c overlaps
// neither. beta = 0 writes c without reading it. Uses the calling thread's OpenMP threads; inside a
// parallel region, the calling thread alone. Throws Error(device) when the library refuses.
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const MatrixView& a,
          const MatrixView& b, float beta, float* c, std::int64_t stride_c);

std::string gemm_library_version();  // the library that runs, "oneDNN 2.6.3"

}  // namespace seqrank::cpu
