// Contract of row normalisation: shapes, then the device's implementation.
#include "backend/ops/l2_normalise.h"

#include "backend/dispatch.h"

namespace seqrank {
namespace cpu {

void l2_normalise(Context& ctx, Tensor& y_ND, Tensor& norm_N, const Tensor& x_ND);
void l2_normalise_backward(Context& ctx, Tensor& dx_ND, const Tensor& dy_ND, const Tensor& y_ND,
                           const Tensor& norm_N);

}  // namespace cpu

void l2_normalise(Context& ctx, Tensor& y_ND, Tensor& norm_N, const Tensor& x_ND) {
  SR_ASSERT(y_ND.shape() == x_ND.shape() && norm_N.numel() == x_ND.dim(0),
            "l2_normalise: x is {}, y is {}, norm is {}", x_ND.shape().str(), y_ND.shape().str(),
            norm_N.shape().str());
  SR_DISPATCH(ctx, l2_normalise, y_ND, norm_N, x_ND);
}

void l2_normalise_backward(Context& ctx, Tensor& dx_ND, const Tensor& dy_ND, const Tensor& y_ND,
                           const Tensor& norm_N) {
  SR_ASSERT(dx_ND.shape() == y_ND.shape() && dy_ND.shape() == y_ND.shape() &&
                norm_N.numel() == y_ND.dim(0),
            "l2_normalise_backward: y is {}, dy is {}, dx is {}", y_ND.shape().str(),
            dy_ND.shape().str(), dx_ND.shape().str());
  SR_DISPATCH(ctx, l2_normalise_backward, dx_ND, dy_ND, y_ND, norm_N);
}

}  // namespace seqrank
