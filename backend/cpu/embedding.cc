// Rows copied by id, and rows added by distinct ids.
#include <cstring>

#include "backend/bf16.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread

void copy_row(float* to, const float* from, std::int64_t d) {
  std::memcpy(to, from, static_cast<std::size_t>(d) * sizeof(float));
}
void copy_row(float* to, const std::uint16_t* from, std::int64_t d) {
  from_bf16(to, from, d);
}

template <class T>
void gather(Context& ctx, Tensor& y_ND, const T* table, std::int64_t d, const Tensor& id_N) {
  float* y = y_ND.data<float>();
  const std::int32_t* id = id_N.data<std::int32_t>();
  parallel_for(ctx, id_N.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) copy_row(y + n * d, table + id[n] * d, d);
  });
}

}  // namespace

void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N) {
  const std::int64_t d = table_VD.dim(1);
  if (d == 0) return;
  if (table_VD.dtype() == DType::bf16)
    gather(ctx, y_ND, bf16_data(table_VD), d, id_N);
  else
    gather(ctx, y_ND, table_VD.data<float>(), d, id_N);
}

void scatter_add_rows(Context& ctx, Tensor& table_VD, const Tensor& id_N, const Tensor& y_ND) {
  const std::int64_t d = table_VD.dim(1);
  if (d == 0) return;
  float* table = table_VD.data<float>();
  const float* y = y_ND.data<float>();
  const std::int32_t* id = id_N.data<std::int32_t>();
  parallel_for(ctx, id_N.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      float* row = table + id[n] * d;
      const float* added = y + n * d;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) row[j] += added[j];
    }
  });
}

}  // namespace seqrank::cpu
