// Composed of layers; has no kernels of its own.
#include "models/nn/transformer.h"

#include "models/nn/attention_weights.h"

namespace seqrank::nn {
namespace {}  // namespace

LinearParameters declare_linear(ParameterStore& store, const std::string& name, std::int64_t out,
                                std::int64_t in) {
  return {&store.declare(name + ".w", {out, in}, Initialiser::by_fan_in(in)),
          &store.declare(name + ".b", {out}, {}, Decay::no)};
}

LayerNorm declare_layer_norm(ParameterStore& store, const std::string& name, std::int64_t width) {
  return {&store.declare(name + ".gain", {width}, {Initialiser::Kind::constant, 1}, Decay::no),
          &store.declare(name + ".bias", {width}, {}, Decay::no)};
}

TransformerBlock declare_transformer_block(ParameterStore& store, const std::string& name,
                                           std::int64_t width, std::int64_t feed_width) {
  const auto attention_norm = declare_layer_norm(store, name + ".attention_norm", width);
  const auto q = declare_linear(store, name + ".q", width, width);
  Parameter* k = &store.declare(name + ".k.w", {width, width}, Initialiser::by_fan_in(width));
  const auto v = declare_linear(store, name + ".v", width, width);
  const auto o = declare_linear(store, name + ".o", width, width);
  const auto feed_norm = declare_layer_norm(store, name + ".feed_norm", width);
  const auto in = declare_linear(store, name + ".feed_in", feed_width, width);
  const auto out = declare_linear(store, name + ".feed_out", width, feed_width);
  return {attention_norm.gain_D, attention_norm.bias_D, q.w,  q.b,  k,     v.w,  v.b, o.w, o.b,
          feed_norm.gain_D,      feed_norm.bias_D,      in.w, in.b, out.w, out.b};
}

Var transformer_block(Tape& tape, Var x_ND, const TransformerBlock& block,
                      const TransformerOptions& options, const Batch& batch, Tensor* weight_N) {
  Var norm_ND = layer_norm(tape, x_ND, *block.attention_gain_D, *block.attention_bias_D);
  Var q_ND = linear(tape, norm_ND, *block.w_q_DD, block.b_q_D);
  Var k_ND = linear(tape, norm_ND, *block.w_k_DD, nullptr);
  Var v_ND = linear(tape, norm_ND, *block.w_v_DD, block.b_v_D);
  if (weight_N)
    *weight_N = weights_of_heads(tape.ctx(), options.heads, q_ND.value(), k_ND.value(), batch,
                                 block.time_HT ? block.time_HT->value() : Tensor());
  AttentionOptions attention;
  attention.mask = options.mask;
  Var seen_ND = multi_head_attention(tape, attention, options.dropout, options.heads, q_ND, k_ND,
                                     v_ND, batch, {nullptr, block.time_HT});
  seen_ND = linear(tape, seen_ND, *block.w_o_DD, block.b_o_D);
  x_ND = add(tape, x_ND, dropout(tape, seen_ND, options.dropout, batch));

  Var feed = layer_norm(tape, x_ND, *block.feed_gain_D, *block.feed_bias_D);
  feed = activate(tape, options.activation, linear(tape, feed, *block.w_in_FD, block.b_in_F));
  feed = dropout(tape, feed, options.dropout, batch);
  feed = linear(tape, feed, *block.w_out_DF, block.b_out_D);
  return add(tape, x_ND, dropout(tape, feed, options.dropout, batch));
}

TransformerEncoder::TransformerEncoder(ParameterStore& store, const Sizes& sizes,
                                       const TransformerOptions& options)
    : options_(options) {
  SR_CHECK(sizes.width % options.heads == 0, ErrorKind::usage,
           "--model.heads={}: must divide --model.width={}", options.heads, sizes.width);
  for (std::int64_t i = 0; i < sizes.blocks; ++i) {
    const std::string name = "block." + std::to_string(i);
    blocks_.push_back(declare_transformer_block(store, name, sizes.width, sizes.feed_width));
    if (sizes.times > 0)
      blocks_.back().time_HT =
          &store.declare(name + ".time", {options.heads, sizes.times}, {}, Decay::no);
  }
  norm_ = declare_layer_norm(store, "norm", sizes.width);
}

Var TransformerEncoder::operator()(Tape& tape, Var x_ND, const Batch& batch,
                                   Tensor* weight_N) const {
  for (const TransformerBlock& block : blocks_)
    x_ND = transformer_block(tape, x_ND, block, options_, batch,
                             &block == &blocks_.back() ? weight_N : nullptr);
  return layer_norm(tape, x_ND, *norm_.gain_D, *norm_.bias_D);
}

}  // namespace seqrank::nn
