// Contract of prefix pooling: shapes, then the device's implementation.
#include "backend/ops/prefix_pool.h"

#include "backend/dispatch.h"

namespace seqrank {
namespace cpu {

void prefix_pool(Context& ctx, Pool kind, Tensor& y_ND, Tensor& argmax_ND, const Tensor& x_ND,
                 const Tensor& offset_B1);
void prefix_pool_backward(Context& ctx, Pool kind, Tensor& dx_ND, const Tensor& dy_ND,
                          const Tensor& argmax_ND, const Tensor& offset_B1);

}  // namespace cpu

void prefix_pool(Context& ctx, Pool kind, Tensor& y_ND, Tensor& argmax_ND, const Tensor& x_ND,
                 const Tensor& offset_B1) {
  SR_ASSERT(y_ND.shape() == x_ND.shape(), "prefix_pool: y is {}, x is {}", y_ND.shape().str(),
            x_ND.shape().str());
  SR_ASSERT(kind != Pool::max || (argmax_ND && argmax_ND.shape() == x_ND.shape()),
            "prefix_pool: max needs an argmax of x's shape {}", x_ND.shape().str());
  SR_DISPATCH(ctx, prefix_pool, kind, y_ND, argmax_ND, x_ND, offset_B1);
}

void prefix_pool_backward(Context& ctx, Pool kind, Tensor& dx_ND, const Tensor& dy_ND,
                          const Tensor& argmax_ND, const Tensor& offset_B1) {
  SR_ASSERT(dx_ND.shape() == dy_ND.shape(), "prefix_pool_backward: dx is {}, dy is {}",
            dx_ND.shape().str(), dy_ND.shape().str());
  SR_ASSERT(kind != Pool::max || (argmax_ND && argmax_ND.shape() == dy_ND.shape()),
            "prefix_pool_backward: max needs the argmax of the forward pass");
  SR_DISPATCH(ctx, prefix_pool_backward, kind, dx_ND, dy_ND, argmax_ND, offset_B1);
}

}  // namespace seqrank
