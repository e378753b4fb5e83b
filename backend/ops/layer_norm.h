// Layer normalisation (Ba, Kiros, Hinton 2016): y = (x - mean) / sqrt(var + eps) * gain + bias,
// over the last extent; statistics in fp32.
#pragma once

#include "backend/context.h"

namespace seqrank {

// y_ND, mean_N and rstd_N (1 / sqrt(var + eps)) are written.
void layer_norm(Context& ctx, Tensor& y_ND, Tensor& mean_N, Tensor& rstd_N, const Tensor& x_ND,
                const Tensor& gain_D, const Tensor& bias_D, float eps);

// dx_ND is written; dgain_D and dbias_D are added to.
void layer_norm_backward(Context& ctx, Tensor& dx_ND, Tensor& dgain_D, Tensor& dbias_D,
                         const Tensor& dy_ND, const Tensor& x_ND, const Tensor& mean_N,
                         const Tensor& rstd_N, const Tensor& gain_D);

}  // namespace seqrank
