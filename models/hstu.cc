// hstu: layers of pointwise attention without a softmax, biased by distance and by time apart, each
// gated by its own input (Zhai et al., ICML 2024):
//   u, v, q, k = silu(W norm(x)),   x + W_o (norm(attention(q, k, v)) * u).
// N, by which attention divides, is the longest history. As published but for the loss, which is
// any of the item table; actions are columns of the input here.
#include "models/nn/attention_weights.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/transformer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kTimes = 32;  // buckets of the bias: powers of two, up to 68 years

struct HstuBlock {
  nn::LayerNorm norm, attended_norm;
  nn::LinearParameters u, v, q, k, out;
  nn::BiasParameters bias;
};

class Hstu final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.blocks", OptionKind::integer, "2", "layers", "1..64"},
        {"model.heads", OptionKind::integer, "2", "of attention; they divide the width", "1..256"},
        {"model.time_bias", OptionKind::flag, "no", "bias of attention by the time apart"},
        {"model.dropout", OptionKind::real, "0.2", "on the input and on what each layer adds",
         "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit Hstu(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        heads_(input.options.integer("model.heads")),
        longest_(input.columns.at("position")),
        time_bias_(input.options.flag("model.time_bias")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        input_(input, width_) {
    SR_CHECK(width_ % heads_ == 0, ErrorKind::usage,
             "--model.heads={}: must divide --model.width={}", heads_, width_);
    for (std::int64_t i = 0; i < input.options.integer("model.blocks"); ++i)
      blocks_.push_back(declare_block(input.parameters, "block." + std::to_string(i)));
    norm_ = nn::declare_layer_norm(input.parameters, "norm", width_);
    items_.declare_output(input.options, input.parameters);
  }

  BatchNeeds needs() const override {
    BatchNeeds needs = items_.needs(input_.needs());
    needs.times = time_bias_;
    needs.max_length = longest_;
    return needs;
  }
  bool weights_sum_to_one() const override { return false; }

 private:
  HstuBlock declare_block(ParameterStore& store, const std::string& name) const {
    const Initialiser normal{Initialiser::Kind::normal, 0.02f};
    HstuBlock block;
    block.norm = nn::declare_layer_norm(store, name + ".norm", width_);
    block.u = nn::declare_linear(store, name + ".u", width_, width_);
    block.v = nn::declare_linear(store, name + ".v", width_, width_);
    block.q = nn::declare_linear(store, name + ".q", width_, width_);
    block.k = nn::declare_linear(store, name + ".k", width_, width_);
    block.bias.position_HR =
        &store.declare(name + ".position", {heads_, longest_}, normal, Decay::no);
    if (time_bias_)
      block.bias.time_HT = &store.declare(name + ".time", {heads_, kTimes}, normal, Decay::no);
    block.attended_norm = nn::declare_layer_norm(store, name + ".attended_norm", width_);
    block.out = nn::declare_linear(store, name + ".out", width_, width_);
    return block;
  }

  // Weights: of the last layer.
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    Var x_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    for (const HstuBlock& block : blocks_)
      x_ND = layer(tape, x_ND, block, batch, &block == &blocks_.back() ? weight_N : nullptr);
    return nn::layer_norm(tape, x_ND, *norm_.gain_D, *norm_.bias_D);
  }

  Var layer(Tape& tape, Var x_ND, const HstuBlock& block, const Batch& batch,
            Tensor* weight_N) const {
    const Var in_ND = nn::layer_norm(tape, x_ND, *block.norm.gain_D, *block.norm.bias_D);
    const auto part = [&](const nn::LinearParameters& p) {
      return nn::activate(tape, Activation::silu, nn::linear(tape, in_ND, *p.w, p.b));
    };
    const Var u_ND = part(block.u), v_ND = part(block.v), q_ND = part(block.q),
              k_ND = part(block.k);
    if (weight_N)
      *weight_N = nn::weights_of_silu(tape.ctx(), static_cast<float>(longest_), heads_,
                                      q_ND.value(), k_ND.value(), block.bias, batch);
    Var seen_ND = nn::silu_attention(tape, static_cast<float>(longest_), heads_, q_ND, k_ND, v_ND,
                                     batch, block.bias);
    seen_ND =
        nn::layer_norm(tape, seen_ND, *block.attended_norm.gain_D, *block.attended_norm.bias_D);
    Var gated_ND = nn::multiply(tape, seen_ND, u_ND);
    gated_ND = nn::dropout(tape, gated_ND, dropout_, batch);
    return nn::add(tape, x_ND, nn::linear(tape, gated_ND, *block.out.w, block.out.b));
  }

  std::int64_t width_, heads_, longest_;
  bool time_bias_;
  float dropout_;
  InputLayer input_;
  std::vector<HstuBlock> blocks_;
  nn::LayerNorm norm_;
};

SR_REGISTER_MODEL("hstu", Hstu, "Zhai et al., Actions Speak Louder than Words, ICML 2024");

}  // namespace
}  // namespace seqrank
