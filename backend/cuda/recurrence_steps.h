// The own recurrence of narrow layers on a CUDA device: a block walks along one sequence and keeps
// the weights of the states, so that a step is a fraction of a microsecond and waits for no launch.
// Which layers run it, recurrence.cu decides.
#pragma once

#include "backend/ops/recurrence.h"

namespace seqrank::cuda {

inline constexpr std::int64_t kWidestSteps = 128;  // of which a block can keep the weights

// As recurrence() and recurrence_backward(); there is an event, and width <= kWidestSteps.
void recurrence_steps(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                      const Tensor& x_NK, const RecurrenceWeights& weights,
                      const PackedOrder& order, const Tensor& h0_BH);
void recurrence_steps_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                               const Tensor& dh_NH, const Tensor& x_NK,
                               const RecurrenceReserve& reserve, const RecurrenceWeights& weights,
                               const PackedOrder& order);

}  // namespace seqrank::cuda
