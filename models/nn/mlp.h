// A stack of dense layers: ReLU after each but the last.
#pragma once

#include <string>
#include <vector>

#include "models/nn/layers.h"
#include "models/options.h"

namespace seqrank::nn {

struct Mlp {
  struct Layer {
    Parameter *w_MK, *b_M;
  };
  std::vector<Layer> layers;
};

// "model.hidden", "model.hidden_layers".
std::vector<OptionSpec> mlp_options();
// As the options say, from `input` columns to `output`.
Mlp declare_mlp(const Options& options, ParameterStore& store, const std::string& name,
                std::int64_t input, std::int64_t output);
// dropout: after each ReLU. In training the rows of x are the batch's events.
Var mlp(Tape& tape, Var x, const Mlp& layers, float dropout, const Batch& batch);

}  // namespace seqrank::nn
