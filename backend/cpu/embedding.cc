// Rows copied by id, and rows added by distinct ids.
#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread
}

void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N) {
  const std::int64_t d = table_VD.dim(1);
  if (d == 0) return;
  float* y = y_ND.data<float>();
  const float* table = table_VD.data<float>();
  const std::int32_t* id = id_N.data<std::int32_t>();
  parallel_for(ctx, id_N.dim(0), kGrain / d + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      std::memcpy(y + n * d, table + id[n] * d, static_cast<std::size_t>(d) * sizeof(float));
  });
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
