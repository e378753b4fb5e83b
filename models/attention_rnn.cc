// attention_rnn: a recurrent encoder (LSTM or GRU) whose states h_j are pooled by additive
// attention over the past, c_t = sum_{j<=t} a_j h_j; the next item is ranked by [h_t ; c_t]
// projected to the width of the item table. After NARM (Li et al., CIKM 2017) and additive
// attention (Bahdanau et al. 2015).
#include "models/model.h"
#include "models/nn/attention_weights.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/layers.h"

namespace seqrank {
namespace {

class AttentionRnn final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "recurrent layers", "1..16"},
        {"model.cell", OptionKind::choice, "gru", "recurrent cell", "gru|lstm"},
        {"model.attention", OptionKind::choice, "running",
         "running: weights from h_j alone, one pass; query: from h_j and h_t", "running|query"},
        {"model.attention_width", OptionKind::integer, "0",
         "width of the scores' hidden layer; 0: as model.width", "0..8192"},
        {"model.activation", OptionKind::choice, "tanh", "inside the attention scores",
         "tanh|relu"},
        {"model.context_relu", OptionKind::flag, "no", "ReLU on the context"},
        {"model.pooling", OptionKind::choice, "last", "of the contexts up to now",
         "last|sum|mean|max"},
        {"model.skip", OptionKind::flag, "yes", "project [h ; c] rather than c alone"},
        {"model.dropout", OptionKind::real, "0.2",
         "dropout on the input, between layers and on the output state", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit AttentionRnn(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        cell_(input.options.text("model.cell") == "lstm" ? Cell::lstm : Cell::gru),
        act_(input.options.text("model.activation") == "relu" ? Activation::relu
                                                              : Activation::tanh),
        context_act_(input.options.flag("model.context_relu") ? Activation::relu
                                                              : Activation::identity),
        pooling_(pool_named(input.options.text("model.pooling"))),
        skip_(input.options.flag("model.skip")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        input_(input, width_) {
    ParameterStore& store = input.parameters;
    const auto layers = input.options.integer("model.layers");
    for (int i = 0; i < layers; ++i)
      layers_.push_back(
          nn::declare_recurrence(store, "rnn." + std::to_string(i), cell_, width_, width_));
    std::int64_t a = input.options.integer("model.attention_width");
    if (a == 0) a = width_;
    w_key_ = &store.declare("attention.w", {a, width_}, Initialiser::by_fan_in(width_));
    if (input.options.text("model.attention") == "query") {
      w_query_ = &store.declare("attention.u", {a, width_}, Initialiser::by_fan_in(width_));
      w_score_ = &store.declare("attention.score", {a}, Initialiser::by_fan_in(a));
    } else {
      w_score_ = &store.declare("attention.score", {1, a}, Initialiser::by_fan_in(a));
    }
    const std::int64_t context_width = skip_ ? 2 * width_ : width_;
    w_out_ =
        &store.declare("output.w", {width_, context_width}, Initialiser::by_fan_in(context_width));
    b_out_ = &store.declare("output.b", {width_}, {}, Decay::no);
    items_.declare_output(input.options, store);
  }

  BatchNeeds needs() const override { return items_.needs(input_.needs()); }

 private:
  static Pool pool_named(const std::string& name) {
    if (name == "sum") return Pool::sum;
    if (name == "mean") return Pool::mean;
    if (name == "max") return Pool::max;
    return Pool::last;
  }

  // Weights: of the context after the last event, before pooling over contexts.
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    Var h_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (i > 0) h_ND = nn::dropout(tape, h_ND, dropout_, batch);
      h_ND = nn::recurrence(tape, cell_, h_ND, layers_[i], batch);
    }
    Var c_ND = nn::activate(tape, context_act_, attend(tape, h_ND, batch, weight_N));
    c_ND = nn::prefix_pool(tape, pooling_, c_ND, batch);
    Var state = skip_ ? nn::concatenate(tape, h_ND, c_ND) : c_ND;
    state = nn::dropout(tape, state, dropout_, batch);
    return nn::linear(tape, state, *w_out_, b_out_);
  }

  Var attend(Tape& tape, Var h_ND, const Batch& batch, Tensor* weight_N) {
    Var k_NA = nn::linear(tape, h_ND, *w_key_, nullptr);
    if (w_query_) {
      Var q_NA = nn::linear(tape, h_ND, *w_query_, nullptr);
      if (weight_N)
        *weight_N = nn::weights_of_query(tape.ctx(), act_, k_NA.value(), q_NA.value(),
                                         w_score_->value(), batch);
      return nn::query_attention(tape, act_, k_NA, q_NA, *w_score_, h_ND, batch);
    }
    Var score_N1 = nn::linear(tape, nn::activate(tape, act_, k_NA), *w_score_, nullptr);
    if (weight_N) *weight_N = nn::weights_of_scores(tape.ctx(), score_N1.value(), batch);
    return nn::running_attention(tape, score_N1, h_ND, batch);
  }

  std::int64_t width_;
  Cell cell_;
  Activation act_;
  Activation context_act_;
  Pool pooling_;
  bool skip_;
  float dropout_;
  InputLayer input_;
  std::vector<nn::RecurrenceParameters> layers_;
  Parameter* w_key_;
  Parameter* w_query_ = nullptr;  // null: running attention
  Parameter* w_score_;
  Parameter* w_out_;
  Parameter* b_out_;
};

SR_REGISTER_MODEL("attention_rnn", AttentionRnn,
                  "Li et al., Neural Attentive Session-based Recommendation, CIKM 2017");

}  // namespace
}  // namespace seqrank
