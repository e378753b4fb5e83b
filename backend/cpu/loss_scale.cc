// The loss scale on a CPU.
#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels.h"

namespace seqrank::cpu {

void remove_loss_scale(Context&, Tensor& squared_norm_1, const Tensor& state_2) {
  const double scale = state_2.data<float>()[0];
  squared_norm_1.data<double>()[0] /= scale * scale;
}

void update_loss_scale(Context&, Tensor& scale_1, Tensor& state_2, const Tensor& squared_norm_1,
                       const LossScale& options) {
  float& loss_scale = state_2.data<float>()[0];
  float& good_steps = state_2.data<float>()[1];
  scale_1.data<float>()[0] /= loss_scale;
  if (!std::isfinite(squared_norm_1.data<double>()[0])) {
    loss_scale = std::max(loss_scale / 2, options.least);
    good_steps = 0;
  } else if (++good_steps >= static_cast<float>(options.growth_steps)) {
    loss_scale = std::min(loss_scale * 2, options.most);
    good_steps = 0;
  }
}

}  // namespace seqrank::cpu
