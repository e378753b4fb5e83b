// Losses that a model ends in. Each is a scalar (f64), this rank's part of a mean over all ranks,
// and finds its gradients in the same pass; its own gradient is taken to be one. The item table
// chooses among those that rank items: ItemTable::loss. `weight` multiplies a loss.
#pragma once

#include "backend/ops/sampled_loss.h"
#include "backend/ops/softmax_cross_entropy.h"
#include "data/batch.h"
#include "models/nn/tape.h"

namespace seqrank::nn {

// a + b, as a loss of its own.
Var add_losses(Tape& tape, Var a, Var b);

// Exact softmax cross-entropy over all rows of table_VD, which may be a parameter (tied with the
// embedding, say) or computed. Divided by global_targets, those of all ranks.
Var softmax_loss(Tape& tape, Var h_ND, Var table_VD, const Tensor& target_N,
                 std::int64_t global_targets, const SoftmaxOptions& options, float weight = 1);

// A loss of backend/ops/sampled_loss.h: positive_N are the targets' scores, negative_SD the items
// that batch.negative_S names; log_q_S may be absent. Scores of negatives exist for a block of
// events at a time, 32 MiB of them. Those of batch.own_negatives, where it has them, are no
// negatives of their event.
Var sampled_loss(Tape& tape, Var h_ND, Var positive_N, Var negative_SD, const Batch& batch,
                 const Tensor& log_q_S, const SampledLossOptions& options);

// sum of [softplus(x) - y x] over logits x and labels y of the same shape, divided by
// global_elements: one logit an event for click-through, K an event for labels of which several may
// be set. label is u8, or f32 in [0, 1].
Var binary_cross_entropy(Tape& tape, Var logit, const Tensor& label, std::int64_t global_elements,
                         float weight = 1);

}  // namespace seqrank::nn
