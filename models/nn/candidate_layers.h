// Layers in which what one is asked about meets the past, event by event: one candidate an event.
// The soft form is query_attention() of layers.h.
#pragma once

#include "backend/ops/din_attention.h"
#include "backend/ops/hard_attention.h"
#include "models/nn/layers.h"

namespace seqrank::nn {

// options.noise, .seed and .layer are set here: noise in training alone, of a layer of its own.
Var hard_attention(Tape& tape, HardAttention options, Var k_NA, Var q_NA, Parameter& w_A, Var v_ND,
                   const Batch& batch);

struct DinUnit {
  Parameter *k_AD, *q_AD, *p_AD, *w_A, *b_1;
};
DinUnit declare_din_unit(ParameterStore& store, const std::string& name, std::int64_t width,
                         std::int64_t hidden);
Var din_attention(Tape& tape, Activation act, Var h_ND, Var x_ND, const DinUnit& unit,
                  const Batch& batch);

}  // namespace seqrank::nn
