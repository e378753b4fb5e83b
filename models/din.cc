// din: the past weighed by its likeness to what one is asked about, and summed, z = sum_j s_j h_j;
// no softmax, so that z also says how much of it there is. h_j: item and label of an event; s_j by
// a hidden layer over [h, x, h - x, h x]; dense layers over [z, x, z x] give the logit of a click
// (Zhou et al., KDD 2018). ReLU stands for the paper's Dice, and the order of the past is not seen
// but for columns such as position.
#include "backend/ops/linear.h"
#include "models/nn/attention_weights.h"
#include "models/nn/click.h"

namespace seqrank {
namespace {

class Din final : public ClickScorer, public AttentionModel {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "32", "width of item vectors", "1..8192"},
        {"model.unit_width", OptionKind::integer, "36", "hidden width of the activation unit",
         "1..8192"},
        {"model.activation", OptionKind::choice, "relu", "inside the activation unit", "tanh|relu"},
        {"model.dropout", OptionKind::real, "0.2", "on the input and after hidden layers",
         "0..0.95"},
    };
    for (OptionSpec& spec : ClickInput::options()) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ClickHead::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit Din(const ModelInput& input)
      : ClickScorer(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        act_(input.options.text("model.activation") == "relu" ? Activation::relu
                                                              : Activation::tanh),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        unit_(nn::declare_din_unit(input.parameters, "unit", width_,
                                   input.options.integer("model.unit_width"))),
        head_(input, width_, input_.has_user(), dropout_) {}

  void score_next(Context& ctx, const Batch& batch, Tensor& score_BV) override {
    Tape tape(ctx, TapeMode::inference, 0);
    const ClickInput::Vectors vectors = input_.history(tape, batch);
    const Var k_NA = nn::linear(tape, vectors.event_ND, *unit_.k_AD, nullptr);
    const DinAttention options{act_, static_cast<std::int64_t>(batch.sequences_at_T.size())};
    score_catalogue(tape, score_BV, batch, input_, vectors.user_ND, head_, [&](const Tensor& x_CD) {
      Tensor z_MD = ctx.empty(DType::f32, {batch.sequences * x_CD.dim(0), width_});
      Tensor q_CA = ctx.empty(DType::f32, {x_CD.dim(0), unit_.w_A->shape[0]});
      linear(ctx, q_CA, x_CD, unit_.q_AD->value(), Tensor());
      din_candidates(ctx, options, z_MD, vectors.event_ND.value(), x_CD, k_NA.value(), q_CA,
                     unit_.p_AD->value(), unit_.w_A->value(), unit_.b_1->value(), batch.offset_B1);
      return Var(z_MD);
    });
  }

  Tensor attention_weights(Context& ctx, const Batch& batch, const TapeHooks& hooks) override {
    Tape tape(ctx, TapeMode::inference, 0, hooks);
    const ClickInput::Vectors vectors = input_(tape, batch);
    return nn::weights_of_din(ctx, act_, vectors.event_ND.value(), vectors.target_ND.value(), unit_,
                              batch);
  }
  bool weights_sum_to_one() const override { return false; }

 private:
  Var logits(Tape& tape, const Batch& batch) override {
    const ClickInput::Vectors vectors = input_(tape, batch);
    const Var h_ND = nn::dropout(tape, vectors.event_ND, dropout_, batch);
    const Var z_ND = nn::din_attention(tape, act_, h_ND, vectors.target_ND, unit_, batch);
    return head_(tape, z_ND, vectors.target_ND, vectors.user_ND, batch);
  }

  std::int64_t width_;
  Activation act_;
  float dropout_;
  nn::DinUnit unit_;
  ClickHead head_;
};

SR_REGISTER_MODEL("din", Din,
                  "Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018");

}  // namespace
}  // namespace seqrank
