// Rounding of operands, products without terms, column sums.
#include "backend/cuda/product.h"

#include <algorithm>

#include "backend/cuda/elements.h"
#include "backend/cuda/number.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kAligned = 8;  // elements: 16 bytes of a 16-bit type

// to [rows, stride] = from [rows, columns]; zeros behind the columns. A thread makes 8 elements.
template <class T>
__global__ void round_kernel(T* to, const float* from, std::int64_t columns, std::int64_t stride,
                             std::int64_t n) {
  const std::int64_t i = element_index();
  if (i >= n) return;
  const std::int64_t row = i / (stride / kAligned), begin = i % (stride / kAligned) * kAligned;
#pragma unroll
  for (std::int64_t c = begin; c < begin + kAligned; ++c)
    to[row * stride + c] = from_float<T>(c < columns ? from[row * columns + c] : 0.f);
}

// What is left of a product without terms. c is an update: its rows may lie apart.
__global__ void scale_only_kernel(float* c, std::int64_t columns, std::int64_t stride, float beta,
                                  const float* bias, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i >= n) return;
  float* const at = c + i / columns * stride + i % columns;
  const float before = beta == 0 ? 0.f : beta * *at;  // not 0 * c, which would keep a NaN
  *at = before + (bias == nullptr ? 0.f : bias[i % columns]);
}

void scale_only(Context& ctx, Matrix& c, float beta, const Tensor& bias_N) {
  const std::int64_t n = c.rows * c.columns;
  launch<scale_only_kernel>(per_element(n), stream_of(ctx), update(c.span<float>()), c.columns,
                            c.stride, beta, in<float>(bias_N), n);
}

constexpr int kSumColumns = 32, kSumRows = 8;  // of a block of threads
constexpr std::int64_t kLeastRows = 64;        // that a block sums
constexpr std::int64_t kMostParts = 256;

// part [parts, columns]: block (x, y) sums 32 columns over the y-th part of the rows.
__global__ void partial_sum_kernel(float* part, const float* x, std::int64_t rows,
                                   std::int64_t columns, std::int64_t stride,
                                   std::int64_t part_rows) {
  SHARED_ARRAY(float, sums, kSumColumns* kSumRows);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kSumColumns + threadIdx.x;
  const std::int64_t begin = blockIdx.y * part_rows;
  const std::int64_t end = min(begin + part_rows, rows);
  float sum = 0;
  if (column < columns)
    for (std::int64_t row = begin + threadIdx.y; row < end; row += kSumRows)
      sum += x[row * stride + column];
  sums[threadIdx.y * kSumColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int y = 1; y < kSumRows; ++y) sum += sums[y * kSumColumns + threadIdx.x];
  part[blockIdx.y * columns + column] = sum;
}

__global__ void add_parts_kernel(float* sum, const float* part, std::int64_t parts,
                                 std::int64_t columns) {
  const std::int64_t column = element_index();
  if (column >= columns) return;
  float all = 0;
  for (std::int64_t p = 0; p < parts; ++p) all += part[p * columns + column];
  sum[column] += all;
}

template <class T>
Tensor rounded(Context& ctx, DType type, const Tensor& x_RC, std::int64_t stride) {
  Tensor to = ctx.empty(type, {x_RC.dim(0), stride}, Tag::workspace);
  const std::int64_t threads = to.numel() / kAligned;
  launch<round_kernel<T>>(per_element(threads), stream_of(ctx), out<T>(to), in<float>(x_RC),
                          x_RC.dim(1), stride, threads);
  return to;
}

}  // namespace

void expect_product(const Matrix& c, Factor a, Factor b, const Tensor& bias_N) {
  const DType type = a.matrix.dtype();
  SR_ASSERT(c.dtype() == DType::f32 && type == b.matrix.dtype(), "a {} product of {} and {}",
            dtype_name(c.dtype()), dtype_name(type), dtype_name(b.matrix.dtype()));
  SR_ASSERT(a.rows() == c.rows && b.columns() == c.columns && a.columns() == b.rows() &&
                (!bias_N || bias_N.numel() == c.columns),
            "[{}, {}] of [{}, {}] by [{}, {}]", c.rows, c.columns, a.rows(), a.columns(), b.rows(),
            b.columns());
  SR_ASSERT(c.rows > 0 && c.columns > 0 && a.columns() > 0, "an empty product");
}

Matrix rounded_operand(Context& ctx, const Tensor& x_RC) {
  const std::int64_t rows = x_RC.dim(0), columns = x_RC.dim(1);
  const std::int64_t stride = (columns + kAligned - 1) / kAligned * kAligned;
  switch (ctx.precision()) {
    case Precision::bf16:
      return {rounded<__nv_bfloat16>(ctx, DType::bf16, x_RC, stride), rows, columns, stride};
    case Precision::fp16:
      return {rounded<__half>(ctx, DType::f16, x_RC, stride), rows, columns, stride};
    case Precision::fp32:
    case Precision::tf32:
      break;
  }
  return Matrix(x_RC);
}

void layer_product(Context& ctx, Matrix c, Factor a, Factor b, float alpha, float beta,
                   const Tensor& bias_N) {
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns() == 0) return scale_only(ctx, c, beta, bias_N);
  gemm(ctx, c, a, b, alpha, beta, bias_N,
       ctx.precision() == Precision::tf32 ? Multiply::tf32 : Multiply::fp32);
}

void exact_product(Context& ctx, Matrix c, Factor a, Factor b, float alpha, float beta) {
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns() == 0) return scale_only(ctx, c, beta, {});
  gemm(ctx, c, a, b, alpha, beta);
}

void add_column_sum(Context& ctx, Tensor& sum_C, const Matrix& x) {
  if (x.rows == 0 || x.columns == 0) return;
  const std::int64_t wanted = std::clamp<std::int64_t>(x.rows / kLeastRows, 1, kMostParts);
  const std::int64_t part_rows = (x.rows + wanted - 1) / wanted;
  const std::int64_t parts = (x.rows + part_rows - 1) / part_rows;
  Tensor part_PC = ctx.empty(DType::f32, {parts, x.columns}, Tag::workspace);
  const auto columns = static_cast<unsigned>((x.columns + kSumColumns - 1) / kSumColumns);
  launch<partial_sum_kernel>({{columns, static_cast<unsigned>(parts)}, {kSumColumns, kSumRows}},
                             stream_of(ctx), out<float>(part_PC), in(x.span<float>()), x.rows,
                             x.columns, x.stride, part_rows);
  launch<add_parts_kernel>(per_element(x.columns), stream_of(ctx), update<float>(sum_C),
                           in<float>(part_PC), parts, x.columns);
}

}  // namespace seqrank::cuda
