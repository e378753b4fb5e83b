// Rows copied by id, and rows added by distinct ids, on a CUDA device. Bound by memory: 8 bytes an
// element gathered, 6 of bf16, 12 added, and 4 a row for its id. A row lies together, so
// neighbouring lanes take neighbouring columns of it, in steps of a float4 where all rows begin at
// one.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/number.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

// T: float or float4; `columns` of them a row.
template <class T>
__global__ void gather_rows_kernel(float* y_ND, const float* table_VD, const std::int32_t* id_N,
                                   std::int64_t rows, std::int64_t columns) {
  const std::int64_t n = row_index(), column = column_index();
  if (n >= rows || column >= columns) return;
  reinterpret_cast<T*>(y_ND)[n * columns + column] =
      reinterpret_cast<const T*>(table_VD)[id_N[n] * columns + column];
}

// From bf16, which is read four at a time where all rows begin at such.
__global__ void gather_rows_16_kernel(float* y_ND, const __nv_bfloat16* table_VD,
                                      const std::int32_t* id_N, std::int64_t rows, std::int64_t d) {
  const std::int64_t n = row_index(), column = column_index();
  if (n < rows && column < d) y_ND[n * d + column] = to_float(table_VD[id_N[n] * d + column]);
}
__global__ void gather_fours_16_kernel(float* y_ND, const __nv_bfloat16* table_VD,
                                       const std::int32_t* id_N, std::int64_t rows,
                                       std::int64_t columns) {
  const std::int64_t n = row_index(), column = column_index();
  if (n >= rows || column >= columns) return;
  const uint2 bits = reinterpret_cast<const uint2*>(table_VD)[id_N[n] * columns + column];
  reinterpret_cast<float4*>(y_ND)[n * columns + column] = {
      __uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
      __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u)};
}

// No id is there twice, so no two threads add to one element.
__global__ void scatter_add_rows_kernel(float* table_VD, const std::int32_t* id_N,
                                        const float* y_ND, std::int64_t rows, std::int64_t d) {
  const std::int64_t n = row_index(), column = column_index();
  if (n < rows && column < d) table_VD[id_N[n] * d + column] += y_ND[n * d + column];
}

}  // namespace

void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N) {
  const std::int64_t rows = id_N.dim(0), d = table_VD.dim(1);
  const bool fours = rows_of_float4(d, {y_ND.raw(), table_VD.raw()});
  if (table_VD.dtype() == DType::bf16) {
    if (fours)
      launch<gather_fours_16_kernel>(per_row_and_column(rows, d / 4), stream_of(ctx),
                                     out<float>(y_ND), in<__nv_bfloat16>(table_VD),
                                     in<std::int32_t>(id_N), rows, d / 4);
    else
      launch<gather_rows_16_kernel>(per_row_and_column(rows, d), stream_of(ctx), out<float>(y_ND),
                                    in<__nv_bfloat16>(table_VD), in<std::int32_t>(id_N), rows, d);
    return;
  }
  if (fours)
    launch<gather_rows_kernel<float4>>(per_row_and_column(rows, d / 4), stream_of(ctx),
                                       out<float>(y_ND), in<float>(table_VD),
                                       in<std::int32_t>(id_N), rows, d / 4);
  else
    launch<gather_rows_kernel<float>>(per_row_and_column(rows, d), stream_of(ctx), out<float>(y_ND),
                                      in<float>(table_VD), in<std::int32_t>(id_N), rows, d);
}

void scatter_add_rows(Context& ctx, Tensor& table_VD, const Tensor& id_N, const Tensor& y_ND) {
  const std::int64_t rows = id_N.dim(0), d = table_VD.dim(1);
  launch<scatter_add_rows_kernel>(per_row_and_column(rows, d), stream_of(ctx),
                                  update<float>(table_VD), in<std::int32_t>(id_N), in<float>(y_ND),
                                  rows, d);
}

}  // namespace seqrank::cuda
