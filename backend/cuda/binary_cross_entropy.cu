// Binary cross-entropy on a CUDA device: a block adds the losses of its 1,024 elements, add_loss()
// those of all blocks. Bound by memory: 9 or 12 bytes an element.
#include "backend/ops/binary_cross_entropy.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/loss_sum.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

// dlogit may be logit.
template <class Label>
__global__ void binary_cross_entropy_kernel(double* loss_P, float* dlogit, const float* logit,
                                            const Label* label, const float* loss_scale,
                                            float factor, std::int64_t n) {
  const FourElements at(n);
  float x[kPerThread], y[kPerThread];
  for (int i = 0; i < kPerThread; ++i) {
    if (!at.has(i)) continue;
    x[i] = logit[at[i]];
    y[i] = static_cast<float>(label[at[i]]);
  }
  if (loss_scale != nullptr) factor *= *loss_scale;
  double loss = 0;
  for (int i = 0; i < kPerThread; ++i) {
    if (!at.has(i)) continue;
    const float e = expf(-fabsf(x[i]));
    loss += fmaxf(x[i], 0.f) - x[i] * y[i] + log1pf(e);
    dlogit[at[i]] = factor * ((x[i] >= 0.f ? 1.f : e) / (1.f + e) - y[i]);
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) loss_P[blockIdx.x] = loss;
}

template <class Label>
void run(Context& ctx, Tensor& loss_P, Tensor& dlogit, const Tensor& logit, const Tensor& label,
         float scale, const Tensor& loss_scale_1) {
  launch<binary_cross_entropy_kernel<Label>>(
      per_four_elements(logit.numel()), stream_of(ctx), out<double>(loss_P), update<float>(dlogit),
      in<float>(logit), in<Label>(label), in<float>(loss_scale_1), scale, logit.numel());
}

}  // namespace

void binary_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dlogit, const Tensor& logit,
                          const Tensor& label, float scale, const Tensor& loss_scale_1) {
  if (logit.numel() == 0) return;
  Tensor loss_P = ctx.empty(DType::f64, {per_four_elements(logit.numel()).grid.x}, Tag::workspace);
  if (label.dtype() == DType::u8)
    run<std::uint8_t>(ctx, loss_P, dlogit, logit, label, scale, loss_scale_1);
  else
    run<float>(ctx, loss_P, dlogit, logit, label, scale, loss_scale_1);
  add_loss(ctx, loss_1, loss_P, static_cast<double>(scale));
}

}  // namespace seqrank::cuda
