// lstm_self_attention: LSTM layers over the events, causal self-attention over their states (dot
// products of several heads, or additive), a multi-layer perceptron with ReLU, and one of two
// heads: scores of items (lstm_self_attention), or the logit of a click on the item that one is
// asked about (lstm_self_attention_click). Nothing asks the history about that item:
// target_attention does.
#include "models/nn/attention_weights.h"
#include "models/nn/click.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/layers.h"

namespace seqrank {
namespace {

// Vectors of events to the states that both heads read.
class LstmAttention {
 public:
  static std::vector<OptionSpec> options() {
    return {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "of the LSTM", "1..16"},
        {"model.attention", OptionKind::choice, "dot", "how states see earlier ones",
         "dot|additive"},
        {"model.heads", OptionKind::integer, "1",
         "of attention by dot products; they divide the width", "1..256"},
        {"model.feed_width", OptionKind::integer, "0", "inside the perceptron; 0: as model.width",
         "0..65536"},
        {"model.activation", OptionKind::choice, "relu", "inside the perceptron", "relu|gelu"},
        {"model.skip", OptionKind::flag, "yes", "the perceptron reads [h ; c] rather than c alone"},
        {"model.dropout", OptionKind::real, "0.2",
         "on the input, between layers, on the attention and inside the perceptron", "0..0.95"},
    };
  }

  explicit LstmAttention(const ModelInput& input)
      : width_(input.options.integer("model.width")),
        heads_(input.options.integer("model.heads")),
        act_(input.options.text("model.activation") == "gelu" ? Activation::gelu
                                                              : Activation::relu),
        skip_(input.options.flag("model.skip")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))) {
    const Options& options = input.options;
    const bool additive = options.text("model.attention") == "additive";
    SR_CHECK(width_ % heads_ == 0, ErrorKind::usage,
             "--model.heads={}: must divide --model.width={}", heads_, width_);
    SR_CHECK(!additive || heads_ == 1, ErrorKind::usage,
             "--model.heads={}: --model.attention=additive has one", heads_);
    ParameterStore& store = input.parameters;
    for (std::int64_t i = 0; i < options.integer("model.layers"); ++i)
      layers_.push_back(
          nn::declare_recurrence(store, "rnn." + std::to_string(i), Cell::lstm, width_, width_));
    w_query_DD_ =
        &store.declare("attention.query", {width_, width_}, Initialiser::by_fan_in(width_));
    w_key_DD_ = &store.declare("attention.key", {width_, width_}, Initialiser::by_fan_in(width_));
    if (additive) {
      w_score_D_ = &store.declare("attention.score", {width_}, Initialiser::by_fan_in(width_));
    } else {
      w_value_DD_ =
          &store.declare("attention.value", {width_, width_}, Initialiser::by_fan_in(width_));
    }
    std::int64_t feed_width = options.integer("model.feed_width");
    if (feed_width == 0) feed_width = width_;
    const std::int64_t seen = skip_ ? 2 * width_ : width_;
    w_in_ = &store.declare("feed_in.w", {feed_width, seen}, Initialiser::by_fan_in(seen));
    b_in_F_ = &store.declare("feed_in.b", {feed_width}, {}, Decay::no);
    w_out_ = &store.declare("feed_out.w", {width_, feed_width}, Initialiser::by_fan_in(feed_width));
    b_out_D_ = &store.declare("feed_out.b", {width_}, {}, Decay::no);
  }

  std::int64_t width() const { return width_; }
  float dropout() const { return dropout_; }

  // weight_N, where it is given: as AttentionModel::attention_weights().
  Var operator()(Tape& tape, Var h_ND, const Batch& batch, Tensor* weight_N) const {
    for (const nn::RecurrenceParameters& layer : layers_)
      h_ND =
          nn::recurrence(tape, Cell::lstm, nn::dropout(tape, h_ND, dropout_, batch), layer, batch);
    const Var c_ND = attend(tape, h_ND, batch, weight_N);
    const Var state = skip_ ? nn::concatenate(tape, h_ND, c_ND) : c_ND;
    Var feed = nn::activate(tape, act_, nn::linear(tape, state, *w_in_, b_in_F_));
    feed = nn::dropout(tape, feed, dropout_, batch);
    return nn::linear(tape, feed, *w_out_, b_out_D_);
  }

 private:
  Var attend(Tape& tape, Var h_ND, const Batch& batch, Tensor* weight_N) const {
    Var q_ND = nn::linear(tape, h_ND, *w_query_DD_, nullptr);
    Var k_ND = nn::linear(tape, h_ND, *w_key_DD_, nullptr);
    if (weight_N)
      *weight_N = w_score_D_
                      ? nn::weights_of_query(tape.ctx(), Activation::tanh, k_ND.value(),
                                             q_ND.value(), w_score_D_->value(), batch)
                      : nn::weights_of_heads(tape.ctx(), heads_, q_ND.value(), k_ND.value(), batch);
    if (w_score_D_)
      return nn::query_attention(tape, Activation::tanh, k_ND, q_ND, *w_score_D_, h_ND, batch);
    Var v_ND = nn::linear(tape, h_ND, *w_value_DD_, nullptr);
    AttentionOptions attention;
    attention.mask = AttentionMask::causal;
    return nn::multi_head_attention(tape, attention, dropout_, heads_, q_ND, k_ND, v_ND, batch);
  }

  std::int64_t width_, heads_;
  Activation act_;
  bool skip_;
  float dropout_;
  std::vector<nn::RecurrenceParameters> layers_;
  Parameter *w_query_DD_, *w_key_DD_;
  Parameter* w_value_DD_ = nullptr;  // of attention by dot products
  Parameter* w_score_D_ = nullptr;   // of additive attention
  Parameter *w_in_, *b_in_F_, *w_out_, *b_out_D_;
};

class LstmSelfAttention final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = LstmAttention::options();
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit LstmSelfAttention(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        input_(input, input.options.integer("model.width")),
        states_(input) {
    items_.declare_output(input.options, input.parameters);
  }

  BatchNeeds needs() const override { return items_.needs(input_.needs()); }

 private:
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    return states_(tape, input_(tape, items_, batch), batch, weight_N);
  }

  InputLayer input_;
  LstmAttention states_;
};

class LstmSelfAttentionClick final : public ClickScorer, public AttentionModel {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = LstmAttention::options();
    for (OptionSpec& spec : ClickInput::options()) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ClickHead::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit LstmSelfAttentionClick(const ModelInput& input)
      : ClickScorer(input, input.options.integer("model.width")),
        states_(input),
        head_(input, states_.width(), input_.has_user(), states_.dropout()) {}

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    Tape tape(ctx, TapeMode::inference, 0);
    const ClickInput::Vectors vectors = input_.history(tape, batch);
    const Var z_ND = states_(tape, vectors.event_ND, batch, nullptr);
    score_catalogue(tape, score_BV, batch, input_, vectors.user_ND, head_, [&](const Tensor& x_CD) {
      return after_last_events(ctx, z_ND.value(), batch, x_CD.dim(0));
    });
  }

  Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks& hooks) override {
    Tape tape(ctx, TapeMode::inference, 0, hooks);
    Tensor weight_N;
    states_(tape, input_.history(tape, batch).event_ND, batch, &weight_N);
    return weight_N;
  }

 private:
  Var logits(Tape& tape, const Batch& batch) override {
    const ClickInput::Vectors vectors = input_(tape, batch);
    const Var z_ND = states_(tape, vectors.event_ND, batch, nullptr);
    return head_(tape, z_ND, vectors.target_ND, vectors.user_ND, batch);
  }

  LstmAttention states_;
  ClickHead head_;
};

SR_REGISTER_MODEL("lstm_self_attention", LstmSelfAttention,
                  "self-attention over the states of an LSTM (Vaswani et al., NeurIPS 2017)");
SR_REGISTER_MODEL("lstm_self_attention_click", LstmSelfAttentionClick,
                  "the same with the head of Zhou et al., Deep Interest Network, KDD 2018");

}  // namespace
}  // namespace seqrank
