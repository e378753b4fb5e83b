// Layers of attention over all pairs of events of a sequence, of several heads: the softmax of
// transformers and the pointwise one of HSTU. Additive attention is in layers.h.
#pragma once

#include <vector>

#include "backend/ops/attention.h"
#include "data/batch.h"
#include "models/nn/tape.h"

namespace seqrank::nn {

// What is added to the scores of attention, each absent where it is not wanted: by distance and, of
// batches with times, by time apart. See backend/ops/attention.h.
struct BiasParameters {
  Parameter *position_HR = nullptr, *time_HT = nullptr;
  std::vector<Parameter*> uses() const;
};
// options.scale and options.dropout are set here: 1 / sqrt(K), and a layer of its own at this rate.
// Widths: q, k, v and the result have heads * K columns.
Var multi_head_attention(Tape& tape, AttentionOptions options, float dropout, std::int64_t heads,
                         Var q, Var k, Var v, const Batch& batch, const BiasParameters& bias = {});
// Causal; q . k is not scaled. normaliser: see backend/ops/silu_attention.h.
Var silu_attention(Tape& tape, float normaliser, std::int64_t heads, Var q, Var k, Var v,
                   const Batch& batch, const BiasParameters& bias);

}  // namespace seqrank::nn
