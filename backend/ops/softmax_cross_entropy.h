// Exact softmax cross-entropy over the whole catalogue, forward and backward in one pass, in blocks
// of rows whose logits fit the cache: the N x V logits never exist as a whole (6 N V D operations).
//   loss = scale * sum_n weight-free -log softmax(h_n table^T / temperature + bias)[target_n],
// with label smoothing e: (1 - e) of the target's term plus e / V of every item's.
#pragma once

#include "backend/context.h"

namespace seqrank {

struct SoftmaxOptions {
  float label_smoothing = 0;  // in [0, 1)
  float temperature = 1;      // > 0
  // f32, may be absent: multiplies the gradients, not the loss; see ops/loss_scale.h.
  Tensor loss_scale_1 = {};
};

// loss_1 (f64) is added to; dh_ND is written; dtable_VD is added to; bias_V and dbias_V (added to)
// may be absent. `scale` multiplies loss and gradients: 1 / the global number of targets.
// The logits' and the gradients' products multiply as ctx.precision() says.
// target_N: i32 in [0, V). Any other is an Error on a CPU, and a loss of NaN on a GPU, which nobody
// waits for.
void softmax_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dh_ND, Tensor& dtable_VD,
                           Tensor& dbias_V, const Tensor& h_ND, const Tensor& table_VD,
                           const Tensor& bias_V, const Tensor& target_N, float scale,
                           const SoftmaxOptions& options);

}  // namespace seqrank
