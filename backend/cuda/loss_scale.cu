// The loss scale on a CUDA device: one thread, so that the host need not know what was decided.
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__global__ void remove_kernel(double* squared_norm, const float* state_2) {
  const double scale = state_2[0];
  *squared_norm /= scale * scale;
}

__global__ void update_kernel(float* scale, float* state_2, const double* squared_norm, float least,
                              float most, float growth_steps) {
  const float loss_scale = state_2[0], good_steps = state_2[1] + 1;
  *scale /= loss_scale;
  const bool finite = isfinite(*squared_norm);
  const bool grows = finite && good_steps >= growth_steps;
  state_2[0] = !finite ? fmaxf(loss_scale / 2, least)
               : grows ? fminf(loss_scale * 2, most)
                       : loss_scale;
  state_2[1] = finite && !grows ? good_steps : 0.f;
}

}  // namespace

void remove_loss_scale(Context& ctx, Tensor& squared_norm_1, const Tensor& state_2) {
  launch<remove_kernel>({1, 1}, stream_of(ctx), update<double>(squared_norm_1), in<float>(state_2));
}

void update_loss_scale(Context& ctx, Tensor& scale_1, Tensor& state_2, const Tensor& squared_norm_1,
                       const LossScale& options) {
  launch<update_kernel>({1, 1}, stream_of(ctx), update<float>(scale_1), update<float>(state_2),
                        in<double>(squared_norm_1), options.least, options.most,
                        static_cast<float>(options.growth_steps));
}

}  // namespace seqrank::cuda
