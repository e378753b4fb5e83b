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
  Parameter* time_HT = nullptr;  // bias of the scores by time apart; declared by who wants one
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

struct LinearParameters {
  Parameter *w, *b;
};
LinearParameters declare_linear(ParameterStore& store, const std::string& name, std::int64_t out,
                                std::int64_t in);

struct LayerNorm {
  Parameter *gain_D, *bias_D;
};
LayerNorm declare_layer_norm(ParameterStore& store, const std::string& name, std::int64_t width);

// Blocks one after the other, and a normalisation of what the last one gives.
class TransformerEncoder {
 public:
  struct Sizes {
    std::int64_t width, blocks, feed_width;
    std::int64_t times = 0;  // buckets of a bias by time apart; 0: none
  };
  // Throws Error(usage) where the heads do not divide the width.
  TransformerEncoder(ParameterStore& store, const Sizes& sizes, const TransformerOptions& options);
  // weight_N: of the last block.
  Var operator()(Tape& tape, Var x_ND, const Batch& batch, Tensor* weight_N = nullptr) const;

 private:
  TransformerOptions options_;
  std::vector<TransformerBlock> blocks_;
  LayerNorm norm_;
};

}  // namespace seqrank::nn
