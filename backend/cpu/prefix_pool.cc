// Prefix pooling on the CPU: one pass forward, one pass backward, a sequence a thread.
#include <algorithm>

#include "backend/cpu/parallel.h"
#include "backend/ops/prefix_pool.h"

namespace seqrank::cpu {
namespace {

// Where the pooled value of event t comes from, given the running value before it.
void pool_sequence(Pool kind, float* y, std::int32_t* argmax, const float* x, std::int64_t begin,
                   std::int64_t end, std::int64_t width) {
  for (std::int64_t t = begin; t < end; ++t) {
    for (std::int64_t d = 0; d < width; ++d) {
      const std::int64_t i = t * width + d;
      const std::int64_t before = i - width;
      if (kind == Pool::max) {
        const bool keep = t > begin && y[before] >= x[i];
        y[i] = keep ? y[before] : x[i];
        argmax[i] = keep ? argmax[before] : static_cast<std::int32_t>(t);
      } else if (kind == Pool::last || t == begin) {
        y[i] = x[i];
      } else if (kind == Pool::sum) {
        y[i] = y[before] + x[i];
      } else {  // mean: moved towards x, which does not lose small values in a large sum
        y[i] = y[before] + (x[i] - y[before]) / static_cast<float>(t - begin + 1);
      }
    }
  }
}

void pool_sequence_backward(Pool kind, float* dx, const float* dy, const std::int32_t* argmax,
                            std::int64_t begin, std::int64_t end, std::int64_t width) {
  if (kind == Pool::max) std::fill(dx + begin * width, dx + end * width, 0.0f);
  for (std::int64_t t = end - 1; t >= begin; --t) {
    for (std::int64_t d = 0; d < width; ++d) {
      const std::int64_t i = t * width + d;
      if (kind == Pool::max) {
        dx[argmax[i] * width + d] += dy[i];
      } else {
        const float own = kind == Pool::mean ? dy[i] / static_cast<float>(t - begin + 1) : dy[i];
        dx[i] = kind == Pool::last || t == end - 1 ? own : dx[i + width] + own;
      }
    }
  }
}

}  // namespace

void prefix_pool(Context& ctx, Pool kind, Tensor& y_ND, Tensor& argmax_ND, const Tensor& x_ND,
                 const Tensor& offset_B1) {
  const auto* offset = offset_B1.data<std::int32_t>();
  float* y = y_ND.data<float>();
  std::int32_t* argmax = argmax_ND ? argmax_ND.data<std::int32_t>() : nullptr;
  const float* x = x_ND.data<float>();
  parallel_for(ctx, offset_B1.dim(0) - 1, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b)
      pool_sequence(kind, y, argmax, x, offset[b], offset[b + 1], x_ND.dim(1));
  });
}

void prefix_pool_backward(Context& ctx, Pool kind, Tensor& dx_ND, const Tensor& dy_ND,
                          const Tensor& argmax_ND, const Tensor& offset_B1) {
  const auto* offset = offset_B1.data<std::int32_t>();
  float* dx = dx_ND.data<float>();
  const float* dy = dy_ND.data<float>();
  const std::int32_t* argmax = argmax_ND ? argmax_ND.data<std::int32_t>() : nullptr;
  parallel_for(ctx, offset_B1.dim(0) - 1, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b)
      pool_sequence_backward(kind, dx, dy, argmax, offset[b], offset[b + 1], dy_ND.dim(1));
  });
}

}  // namespace seqrank::cpu
