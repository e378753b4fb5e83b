// The operators of a two-layer network, y = relu(x w1) w2, with a squared loss; the planted fault
// (fault.h) may be in them. All memory is device memory, all matrices are row-major. Names carry
// shapes: B samples, D inputs, H hidden units.
#pragma once

#include <span>

#include "tests/emulated/handles.h"

namespace seqrank::emu {

// products = x w1, as a vendor's library does it: no kernel, but ordered as one.
void multiply(const Stream& stream, std::span<float> products_BH, std::span<const float> x_BD,
              std::span<const float> w1_DH, int B, int D, int H);

// From the first layer's products: hidden = relu(products), in place; error = (y - target) /
// samples, written; loss += sum of (y - target)^2 / (2 samples).
void forward_head(const Stream& stream, std::span<float> hidden_BH, std::span<const float> w2_H,
                  std::span<const float> target_B, std::span<float> error_B,
                  std::span<float> loss_1, int samples);

// Gradients, written.
void backward_w2(const Stream& stream, std::span<float> grad_w2_H, std::span<const float> hidden_BH,
                 std::span<const float> error_B);
void backward_w1(const Stream& stream, std::span<float> grad_w1_DH, std::span<const float> x_BD,
                 std::span<const float> hidden_BH, std::span<const float> w2_H,
                 std::span<const float> error_B);

// weight -= rate * gradient
void sgd(const Stream& stream, std::span<float> weight, std::span<const float> gradient,
         float rate);

}  // namespace seqrank::emu
