// narm: a GRU whose last state is the purpose of the whole session (global) and asks for the events
// that matter now (local, additive attention); both rank items through a bilinear decoder (Li et
// al., CIKM 2017). As published but for the attention's weights, which a softmax normalises here.
// Their sigmoid is then the hyperbolic tangent, with other parameters.
#include "models/nn/attention_weights.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/layers.h"

namespace seqrank {
namespace {

class Narm final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "50", "width of item vectors", "1..8192"},
        {"model.state_width", OptionKind::integer, "100", "width of the GRU", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "of the GRU", "1..16"},
        {"model.dropout", OptionKind::real, "0.25", "on the input and between layers", "0..0.95"},
        {"model.output_dropout", OptionKind::real, "0.5", "before the decoder", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit Narm(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        output_dropout_(static_cast<float>(input.options.real("model.output_dropout"))),
        input_(input, width_) {
    ParameterStore& store = input.parameters;
    const std::int64_t state = input.options.integer("model.state_width");
    for (std::int64_t i = 0; i < input.options.integer("model.layers"); ++i)
      layers_.push_back(nn::declare_recurrence(store, "rnn." + std::to_string(i), Cell::gru,
                                               i == 0 ? width_ : state, state));
    const Initialiser uniform = Initialiser::by_fan_in(state);
    w_key_HH_ = &store.declare("attention.key", {state, state}, uniform);
    w_query_HH_ = &store.declare("attention.query", {state, state}, uniform);
    w_score_H_ = &store.declare("attention.score", {state}, uniform);
    b_D2H_ = &store.declare("decoder", {width_, 2 * state}, uniform);
    items_.declare_output(input.options, store);
  }

  BatchNeeds needs() const override { return items_.needs(input_.needs()); }

 private:
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    Var h_NH = input_(tape, items_, batch);
    for (const nn::RecurrenceParameters& layer : layers_)
      h_NH =
          nn::recurrence(tape, Cell::gru, nn::dropout(tape, h_NH, dropout_, batch), layer, batch);
    Var k_NH = nn::linear(tape, h_NH, *w_key_HH_, nullptr);
    Var q_NH = nn::linear(tape, h_NH, *w_query_HH_, nullptr);
    if (weight_N)
      *weight_N = nn::weights_of_query(tape.ctx(), Activation::tanh, k_NH.value(), q_NH.value(),
                                       w_score_H_->value(), batch);
    Var local_NH =
        nn::query_attention(tape, Activation::tanh, k_NH, q_NH, *w_score_H_, h_NH, batch);
    Var both = nn::concatenate(tape, h_NH, local_NH);
    return nn::linear(tape, nn::dropout(tape, both, output_dropout_, batch), *b_D2H_, nullptr);
  }

  std::int64_t width_;
  float dropout_, output_dropout_;
  InputLayer input_;
  std::vector<nn::RecurrenceParameters> layers_;
  Parameter *w_key_HH_, *w_query_HH_, *w_score_H_;
  Parameter* b_D2H_;
};

SR_REGISTER_MODEL("narm", Narm,
                  "Li et al., Neural Attentive Session-based Recommendation, CIKM 2017");

}  // namespace
}  // namespace seqrank
