// C = A B for a few rows of A and a B that is used many times: the product inside each step of a
// recurrence. B is packed once; no call allocates, starts threads or converts anything.
// Not a general product: that is gemm(), for matrices that are used once or do not fit the cache.
//
// Why it exists, GFLOP/s of one call on one core (AVX-512; oneDNN 2.6 reaches 132 on 1024^3 there),
// this / dnnl_sgemm, which packs B anew in every call:
//   rows             1         4         8         16         32         64        128
//   K 64, N 192   72 / 19  113 / 47  120 / 77  173 / 75  134 / 118  138 / 113  171 / 119
//   K 192, N 64   67 / 22  109 / 60  113 / 66  124 / 47  123 / 64   128 / 82   129 / 98
//   K 128, N 512  47 / 26  109 / 61  119 / 62  115 / 69  118 / 91   124 / 106  136 / 116
#pragma once

#include <cstdint>

#include "backend/context.h"

namespace seqrank::cpu {

// B [K, N] in panels of a few vectors' width, columns padded with zeros to whole vectors; in bf16
// where that is the context's precision, and then A is rounded in every call.
class PackedMatrix {
 public:
  enum class Layout {
    as_is,       // w is B, [K, N]
    transposed,  // w is B^T, [N, K]
  };
  PackedMatrix(Context& ctx, const Tensor& w, Layout layout);

  std::int64_t depth() const { return depth_; }    // K
  std::int64_t stride() const { return stride_; }  // N rounded up: the row stride of C

  // c [rows, stride()] is written, its padding columns with zeros; a is [rows, K]. c may not
  // overlap a. Each row's bits are the same whatever rows it is computed with. Thread-safe.
  void multiply(float* c, const float* a, std::int64_t rows) const;

 private:
  std::int64_t depth_ = 0;
  std::int64_t stride_ = 0;
  Tensor packed_;  // f32 or bf16
};

}  // namespace seqrank::cpu
