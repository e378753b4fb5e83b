// y = x w^T + b. Weights are [out, in], as cuDNN and PyTorch hold them.
#pragma once

#include "backend/context.h"

namespace seqrank {

// y_NM is written. b_M may be absent. N may be zero.
void linear(Context& ctx, Tensor& y_NM, const Tensor& x_NK, const Tensor& w_MK, const Tensor& b_M);

// dx_NK is written (absent: not computed); dw_MK and db_M are added to (db_M may be absent).
void linear_backward(Context& ctx, Tensor& dx_NK, Tensor& dw_MK, Tensor& db_M, const Tensor& dy_NM,
                     const Tensor& x_NK, const Tensor& w_MK);

}  // namespace seqrank
