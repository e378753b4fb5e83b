// Binary cross-entropy of logits, forward and backward in one pass:
//   loss = scale * sum_i [softplus(x_i) - y_i x_i],   softplus(x) = log(1 + e^x)
// which is -y log s(x) - (1 - y) log(1 - s(x)) with s the sigmoid, without its overflows. One logit
// an event: click-through. A row of K logits with several labels set: the multi-label loss.
#pragma once

#include "backend/context.h"

namespace seqrank {

// Any shape, all the same. loss_1 (f64) is added to; dlogit (f32) is written, and may be logit.
// label: u8 (0 or 1) or f32 in [0, 1]. scale multiplies loss and gradients: 1 / the global number
// of elements. loss_scale_1: f32, may be absent; multiplies the gradients alone, see loss_scale.h.
void binary_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dlogit, const Tensor& logit,
                          const Tensor& label, float scale, const Tensor& loss_scale_1);

}  // namespace seqrank
