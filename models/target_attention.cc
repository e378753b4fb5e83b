// target_attention: the candidate asks the history. A recurrent encoder gives h_j; for the item x
// that one is asked about, weights a_j = softmax_j(v . act(W_h h_j + W_x x)) over the past give its
// interest z = sum_j a_j h_j, and dense layers over [z, x, z x] the logit of a click. After DIN
// (Zhou et al., KDD 2018) and additive attention (Bahdanau et al. 2015). Hard attention takes one
// h_j instead of the mean, drawn with Gumbel noise in training. No loss over lists of candidates.
#include "backend/ops/candidate_attention.h"
#include "backend/ops/linear.h"
#include "models/nn/attention_weights.h"
#include "models/nn/click.h"

namespace seqrank {
namespace {

class TargetAttention final : public ClickScorer, public AttentionModel {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "32", "width of item vectors and states", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "recurrent layers", "1..16"},
        {"model.cell", OptionKind::choice, "lstm", "recurrent cell", "gru|lstm"},
        {"model.attention", OptionKind::choice, "soft",
         "soft: a mean of the past; hard: one event of it, drawn in training; none: the last "
         "state, "
         "whatever one is asked about",
         "soft|hard|none"},
        {"model.first_temperature", OptionKind::real, "1",
         "hard attention: of the softmax whose gradient stands for that of the choice, at first",
         "0.01..100"},
        {"model.last_temperature", OptionKind::real, "0.5", "hard attention: and at last",
         "0.01..100"},
        {"model.temperature_samples", OptionKind::integer, "100000",
         "hard attention: training samples over which it falls in a line", "1.."},
        {"model.attention_width", OptionKind::integer, "0",
         "width of the scores' hidden layer; 0: as model.width", "0..8192"},
        {"model.activation", OptionKind::choice, "tanh", "inside the attention scores",
         "tanh|relu"},
        {"model.dropout", OptionKind::real, "0.2",
         "on the input, between recurrent layers and after hidden layers", "0..0.95"},
    };
    for (OptionSpec& spec : ClickInput::options()) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ClickHead::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit TargetAttention(const ModelInput& input)
      : ClickScorer(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        cell_(input.options.text("model.cell") == "lstm" ? Cell::lstm : Cell::gru),
        attend_(input.options.text("model.attention") == "hard" ? Attend::hard : Attend::soft),
        hard_(hard_options(input.options)),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        encoder_(declare_encoder(input, cell_, width_)),
        attention_(declare_attention(input, width_)),
        head_(input, width_, input_.has_user(), dropout_) {}

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    Tape tape(ctx, TapeMode::inference, 0);
    const ClickInput::Vectors vectors = input_.history(tape, batch);
    const Var h_ND = encode(tape, vectors.event_ND, batch);
    const Var k_NA = attention_ ? nn::linear(tape, h_ND, *attention_.w_key_AD, nullptr) : Var();
    score_catalogue(tape, score_BV, batch, input_, vectors.user_ND, head_,
                    [&](const Tensor& x_CD) { return meet(ctx, x_CD, k_NA, h_ND, batch); });
  }

  Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks& hooks) override {
    if (!attention_) return {};
    Tape tape(ctx, TapeMode::inference, 0, hooks);
    const ClickInput::Vectors vectors = input_(tape, batch);
    const Asking asking = ask(tape, encode(tape, vectors.event_ND, batch), vectors.target_ND);
    return (attend_ == Attend::soft ? nn::weights_of_query : nn::weights_of_choice)(
        ctx, hard_.act, asking.k_NA.value(), asking.q_NA.value(), attention_.w_score_A->value(),
        batch);
  }

 private:
  static HardAttention hard_options(const Options& options) {
    return {.act = options.text("model.activation") == "relu" ? Activation::relu : Activation::tanh,
            .first_temperature = static_cast<float>(options.real("model.first_temperature")),
            .last_temperature = static_cast<float>(options.real("model.last_temperature")),
            .places = options.integer("model.temperature_samples")};
  }
  static std::vector<nn::RecurrenceParameters> declare_encoder(const ModelInput& input, Cell cell,
                                                               std::int64_t width) {
    std::vector<nn::RecurrenceParameters> layers;
    for (std::int64_t i = 0; i < input.options.integer("model.layers"); ++i)
      layers.push_back(
          nn::declare_recurrence(input.parameters, "rnn." + std::to_string(i), cell, width, width));
    return layers;
  }

  struct Attention {
    Parameter *w_key_AD = nullptr, *w_query_AD = nullptr, *w_score_A = nullptr;
    explicit operator bool() const { return w_key_AD != nullptr; }
  };
  static Attention declare_attention(const ModelInput& input, std::int64_t width) {
    if (input.options.text("model.attention") == "none") return {};
    std::int64_t a = input.options.integer("model.attention_width");
    if (a == 0) a = width;
    ParameterStore& store = input.parameters;
    return {&store.declare("attention.w", {a, width}, Initialiser::by_fan_in(width)),
            &store.declare("attention.u", {a, width}, Initialiser::by_fan_in(width)),
            &store.declare("attention.score", {a}, Initialiser::by_fan_in(a))};
  }

  Var encode(Tape& tape, Var x_ND, const Batch& batch) {
    for (const nn::RecurrenceParameters& layer : encoder_)
      x_ND = nn::recurrence(tape, cell_, nn::dropout(tape, x_ND, dropout_, batch), layer, batch);
    return x_ND;
  }

  struct Asking {
    Var k_NA, q_NA;  // of the events; of what each is asked about
  };
  Asking ask(Tape& tape, Var h_ND, Var x_ND) {
    return {nn::linear(tape, h_ND, *attention_.w_key_AD, nullptr),
            nn::linear(tape, x_ND, *attention_.w_query_AD, nullptr)};
  }

  Var logits(Tape& tape, const Batch& batch) override {
    const ClickInput::Vectors vectors = input_(tape, batch);
    const Var h_ND = encode(tape, vectors.event_ND, batch), x_ND = vectors.target_ND;
    Var z_ND = h_ND;
    if (attention_) {
      const auto [k_NA, q_NA] = ask(tape, h_ND, x_ND);
      z_ND =
          attend_ == Attend::soft
              ? nn::query_attention(tape, hard_.act, k_NA, q_NA, *attention_.w_score_A, h_ND, batch)
              : nn::hard_attention(tape, hard_, k_NA, q_NA, *attention_.w_score_A, h_ND, batch);
    }
    return head_(tape, z_ND, x_ND, vectors.user_ND, batch);
  }

  Var meet(Context& ctx, const Tensor& x_CD, Var k_NA, Var h_ND, const Batch& batch) {
    if (!attention_) return after_last_events(ctx, h_ND.value(), batch, x_CD.dim(0));
    Tensor z_MD = ctx.empty(DType::f32, {batch.sequences * x_CD.dim(0), width_});
    Tensor q_CA = ctx.empty(DType::f32, {x_CD.dim(0), attention_.w_score_A->shape[0]});
    linear(ctx, q_CA, x_CD, attention_.w_query_AD->value(), Tensor());
    candidate_attention(ctx, attend_, hard_.act, z_MD, k_NA.value(), q_CA,
                        attention_.w_score_A->value(), h_ND.value(), batch.offset_B1);
    return Var(z_MD);
  }

  std::int64_t width_;
  Cell cell_;
  Attend attend_;
  HardAttention hard_;  // its activation is that of the soft form too
  float dropout_;
  std::vector<nn::RecurrenceParameters> encoder_;
  Attention attention_;  // absent: the last state
  ClickHead head_;
};

SR_REGISTER_MODEL("target_attention", TargetAttention,
                  "Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018");

}  // namespace
}  // namespace seqrank
