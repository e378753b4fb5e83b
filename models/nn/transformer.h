// One block of a transformer encoder over packed sequences (Vaswani et al. 2017), with the
// normalisation before each part ("pre-norm", Xiong et al. 2020): x + attention(norm(x)), then
// x + feed_forward(norm(x)). Keys have no bias: the softmax would cancel it.
#pragma once

#include <string>

#include "models/nn/layers.h"

namespace seqrank::nn {

struct TransformerBlock {
  Parameter *attention_gain_D, *attention_bias_D;
  Parameter *w_q_DD, *b_q_D, *w_k_DD, *w_v_DD, *b_v_D, *w_o_DD, *b_o_D;
  Parameter *feed_gain_D, *feed_bias_D;
  Parameter *w_in_FD, *b_in_F, *w_out_DF, *b_out_D;
};

struct TransformerOptions {
  AttentionMask mask = AttentionMask::causal;
  std::int64_t heads = 1;  // divides D
  Activation activation = Activation::relu;
  float dropout = 0;  // of probabilities, and of what each part adds
};

TransformerBlock declare_transformer_block(ParameterStore& store, const std::string& name,
                                           std::int64_t width, std::int64_t feed_width);
// weight_N, where it is given: see attention_weights.h.
Var transformer_block(Tape& tape, Var x_ND, const TransformerBlock& block,
                      const TransformerOptions& options, const Batch& batch,
                      Tensor* weight_N = nullptr);

struct LayerNorm {
  Parameter *gain_D, *bias_D;
};
LayerNorm declare_layer_norm(ParameterStore& store, const std::string& name, std::int64_t width);

}  // namespace seqrank::nn
