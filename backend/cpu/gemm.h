// The vendor's matrix product on plain pointers, for CPU kernels that work on parts of matrices.
// matmul() is the operator; this knows no tensors and checks no shapes.
#pragma once

#include <cstdint>
#include <string>

#include "backend/check.h"
#include "backend/ops/matmul.h"
#include "backend/tensor.h"

namespace seqrank::cpu {

class MatrixView {
 public:
  // stride: elements from row to row, as it lies in memory.
  MatrixView(const float* data, std::int64_t stride, Transpose transpose = Transpose::no)
      : data_(data), type_(DType::f32), stride_(stride), transpose_(transpose) {}
  // Bits of bf16.
  MatrixView(const std::uint16_t* data, std::int64_t stride, Transpose transpose = Transpose::no)
      : data_(data), type_(DType::bf16), stride_(stride), transpose_(transpose) {}

  const void* data() const { return data_; }
  DType type() const { return type_; }
  std::int64_t stride() const { return stride_; }
  bool flipped() const { return transpose_ == Transpose::yes; }

 private:
  const void* data_;
  DType type_;
  std::int64_t stride_;
  Transpose transpose_;
};

// c [m, n] = alpha op(a) op(b) + beta c, row-major; op(a) is [m, k], op(b) is [k, n], both of one
// type; c overlaps neither. beta = 0 writes c without reading it. bf16: sums are fp32, alpha is 1,
// beta 0 or 1, and has_bf16_products() holds. Uses the calling thread's OpenMP threads; inside a
// parallel region, the calling thread alone. Throws Error(device) when the library refuses.
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const MatrixView& a,
          const MatrixView& b, float beta, float* c, std::int64_t stride_c);

// Whether this processor multiplies bf16 by instructions of its own, as the library sees it: its
// variable ONEDNN_MAX_CPU_ISA can forbid that.
bool has_bf16_products();

std::string gemm_library_version();  // the library that runs, "oneDNN 2.6.3"

}  // namespace seqrank::cpu
