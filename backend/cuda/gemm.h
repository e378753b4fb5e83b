// The vendor's matrix product: cuBLASLt on a GPU (gemm_cublaslt.cc), a twin that calls the CPU's on
// the emulated device of the tests. One of the two is linked. Knows no precision but that of its
// operands: product.h rounds them and settles products without terms.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "backend/context.h"
#include "backend/cuda/access.h"
#include "backend/ops/matmul.h"

namespace seqrank::cuda {

// Row-major on the device: rows of `columns` elements begin `stride` elements apart, the first at
// the tensor's.
struct Matrix {
  Matrix() = default;
  explicit Matrix(Tensor whole) : Matrix(whole, whole.dim(0), whole.dim(1), whole.dim(1)) {}
  Matrix(Tensor memory, std::int64_t rows, std::int64_t columns, std::int64_t stride)
      : memory(std::move(memory)), rows(rows), columns(columns), stride(stride) {}

  DType dtype() const { return memory.dtype(); }
  // Up to the last element of the last row.
  std::int64_t extent() const { return rows == 0 ? 0 : (rows - 1) * stride + columns; }
  template <class T>
  std::span<T> span() {
    return elements<T>(memory).first(static_cast<std::size_t>(extent()));
  }
  template <class T>
  std::span<const T> span() const {
    return elements<T>(memory).first(static_cast<std::size_t>(extent()));
  }

  Tensor memory;
  std::int64_t rows = 0, columns = 0, stride = 0;
};

struct Factor {
  const Matrix& matrix;
  Transpose transpose = Transpose::no;
  std::int64_t rows() const { return transpose == Transpose::yes ? matrix.columns : matrix.rows; }
  std::int64_t columns() const {
    return transpose == Transpose::yes ? matrix.rows : matrix.columns;
  }
};

// How fp32 factors are multiplied; 16-bit ones always exactly. Sums are fp32.
enum class Multiply { fp32, tf32 };

// c [M, N] = alpha op(a) op(b) + beta c + bias, added to every row; bias_N may be
// absent. c is f32, a and b are both f32, bf16 or f16; no extent is zero. beta = 0 writes c without
// reading it; c overlaps neither factor. The same call gives the same bits. Throws Error(device)
// when the library refuses.
void gemm(Context& ctx, Matrix& c, Factor a, Factor b, float alpha, float beta,
          const Tensor& bias_N = {}, Multiply multiply = Multiply::fp32);

std::string gemm_library_version();  // "cuBLASLt 13.0.2"

// Both implementations: aborts unless the above holds.
void expect_product(const Matrix& c, Factor a, Factor b, const Tensor& bias_N);

}  // namespace seqrank::cuda
