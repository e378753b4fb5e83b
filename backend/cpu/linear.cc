// Linear layer: matrix products, and the bias added and summed beside them.
#include <algorithm>

#include "backend/cpu/column_sum.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {
constexpr std::int64_t kGrain = 1 << 15;  // elements worth a thread
}

void linear(Context& ctx, Tensor& y_NM, const Tensor& x_NK, const Tensor& w_MK, const Tensor& b_M) {
  const std::int64_t m = y_NM.dim(1);
  if (b_M) {
    // Written first, so that the product adds to it while it holds y anyway.
    float* y = y_NM.data<float>();
    const float* b = b_M.data<float>();
    const std::int64_t grain = kGrain / std::max<std::int64_t>(1, m) + 1;
    parallel_for(ctx, y_NM.dim(0), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) std::copy(b, b + m, y + n * m);
    });
  }
  layer_product(ctx, y_NM, x_NK, Transpose::no, w_MK, Transpose::yes, b_M ? 1.0f : 0.0f);
}

void linear_backward(Context& ctx, Tensor& dx_NK, Tensor& dw_MK, Tensor& db_M, const Tensor& dy_NM,
                     const Tensor& x_NK, const Tensor& w_MK) {
  layer_product(ctx, dw_MK, dy_NM, Transpose::yes, x_NK, Transpose::no, 1.0f);
  if (db_M) add_column_sum(ctx, db_M, dy_NM);
  if (dx_NK) layer_product(ctx, dx_NK, dy_NM, Transpose::no, w_MK, Transpose::no, 0.0f);
}

}  // namespace seqrank::cpu
