// Products row by row on the CPU; sums in double, rows over threads.
#include "backend/ops/row_dot.h"

#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kRowsPerThread = 64;

}  // namespace

void row_dot(Context& ctx, Tensor& y_N, const Tensor& a_ND, const Tensor& b_ND) {
  const std::int64_t d = a_ND.dim(1);
  float* const y = y_N.data<float>();
  const float *const a = a_ND.data<float>(), *const b = b_ND.data<float>();
  parallel_for(ctx, a_ND.dim(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = n * d; i < (n + 1) * d; ++i) sum += static_cast<double>(a[i]) * b[i];
      y[n] = static_cast<float>(sum);
    }
  });
}

void row_dot_backward(Context& ctx, Tensor& da_ND, Tensor& db_ND, const Tensor& dy_N,
                      const Tensor& a_ND, const Tensor& b_ND) {
  const std::int64_t d = a_ND.dim(1);
  float *const da = da_ND.data<float>(), *const db = db_ND.data<float>();
  const float *const dy = dy_N.data<float>(), *const a = a_ND.data<float>();
  const float* const b = b_ND.data<float>();
  parallel_for(ctx, a_ND.dim(0), kRowsPerThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
#pragma GCC ivdep
      for (std::int64_t i = n * d; i < (n + 1) * d; ++i) {
        da[i] = dy[n] * b[i];
        db[i] = dy[n] * a[i];
      }
    }
  });
}

}  // namespace seqrank::cpu
