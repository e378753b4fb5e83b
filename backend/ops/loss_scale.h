// A dynamic loss scale: gradients are computed many times too large, so that small ones do not
// vanish where products round them to fp16, whose smallest number is 6e-8. All of it stays on the
// device: the host does not wait to learn that a step was skipped. Scales are powers of two, so
// that multiplying and dividing by one changes no digit.
//   softmax_cross_entropy(..., {.loss_scale_1 = first of state_2})   gradients times the scale
//   remove_loss_scale(squared norm)    clip_scale(...)    update_loss_scale(...)    adamw(...)
// An absent state is no loss scale: both functions then do nothing.
#pragma once

#include "backend/context.h"

namespace seqrank {

struct LossScale {
  float first = 65536;  // powers of two
  float least = 1;
  float most = 1 << 24;
  int growth_steps = 2000;  // good steps in a row before it doubles
};

// state_2 (f32): the scale, and how many steps in a row were good.

// squared_norm_1 (f64), of gradients times the scale, is divided by its square. Not finite stays
// so.
void remove_loss_scale(Context& ctx, Tensor& squared_norm_1, const Tensor& state_2);

// scale_1 (f32), as clip_scale() left it, is divided by the loss scale of this step: it is what
// adamw() takes. Then the state is that of the next step: half the scale where squared_norm_1 (f64)
// is not finite, twice after growth_steps good steps.
void update_loss_scale(Context& ctx, Tensor& scale_1, Tensor& state_2, const Tensor& squared_norm_1,
                       const LossScale& options);

}  // namespace seqrank
