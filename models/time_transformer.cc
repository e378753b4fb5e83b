// time_transformer: transformer blocks over items and when they were taken: the gap to the event
// before, hour and weekday as vectors of the input, and a bias of attention by the time apart.
// Learns the next item (causal), or first, without asking for the next item, hidden items and
// whether both halves of a sample are one history (bidirectional), from which the former goes on:
// their parameters have the same names and shapes. After BERT (Devlin et al., NAACL 2019), with the
// normalisation before each part.
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/losses.h"
#include "models/nn/transformer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kTimes = 32;  // buckets of the bias: powers of two, up to 68 years

class TimeTransformer final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.blocks", OptionKind::integer, "2", "transformer blocks", "1..64"},
        {"model.heads", OptionKind::integer, "2", "of attention; they divide the width", "1..256"},
        {"model.feed_width", OptionKind::integer, "0",
         "inside the feed-forward parts; 0: four times model.width", "0..65536"},
        {"model.objective", OptionKind::choice, "next",
         "next: the item that follows; masked: hidden items and same_history, to begin with",
         "next|masked"},
        {"model.mask", OptionKind::choice, "objective",
         "what an event sees; objective: causal for next, bidirectional for masked",
         "objective|causal|bidirectional"},
        {"model.mask_share", OptionKind::real, "0.15",
         "masked: of a sample's events that are hidden; at least one is", "0..0.95"},
        {"model.last_share", OptionKind::real, "0",
         "masked: of the samples that have only their last event hidden", "0..1"},
        {"model.same_history", OptionKind::real, "1",
         "masked: weight of telling whether both halves are one history; 0: they always are",
         "0..100"},
        {"model.time_bias", OptionKind::flag, "no", "bias of attention by the time apart"},
        {"model.dropout", OptionKind::real, "0.1",
         "on the input, the attention and what each part adds", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("position,gap,hour,weekday"))
      specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit TimeTransformer(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width"), ItemTable::MaskRow::yes),
        width_(input.options.integer("model.width")),
        objective_(input.options.text("model.objective") == "masked" ? Objective::masked
                                                                     : Objective::next),
        time_bias_(input.options.flag("model.time_bias")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        same_weight_(static_cast<float>(input.options.real("model.same_history"))),
        masking_{.share = input.options.real("model.mask_share"),
                 .last_share = input.options.real("model.last_share"),
                 .halves = same_weight_ > 0},
        input_(input, width_),
        blocks_(input.parameters, sizes(input.options), block_options(input.options)) {
    if (objective_ == Objective::masked && masking_.halves)
      same_ = nn::declare_linear(input.parameters, "same_history", 1, width_);
    items_.declare_output(input.options, input.parameters);
  }

  BatchNeeds needs() const override {
    BatchNeeds needs = items_.needs(input_.needs());
    needs.times = time_bias_;
    needs.objective = objective_;
    needs.masking = masking_;
    return needs;
  }

  Var loss(Tape& tape, const Batch& batch) override {
    const Var h_ND = encode(tape, batch, nullptr);
    if (objective_ == Objective::next) return items_.loss(tape, h_ND, batch);
    const Var h_MD = nn::select_rows(tape, h_ND, batch.target_index_M);
    Var loss = items_.loss_at(tape, h_MD, batch.target_M, batch);
    if (!masking_.halves) return loss;
    const Var mean_BD =
        nn::select_rows(tape, nn::prefix_pool(tape, Pool::mean, h_ND, batch), batch.last_B);
    const Var logit_B1 = nn::linear(tape, mean_BD, *same_.w, same_.b);
    return nn::add_losses(
        tape, loss,
        nn::binary_cross_entropy(tape, logit_B1, batch.same_B.reshape({batch.sequences, 1}),
                                 batch.global_sequences, same_weight_));
  }

 private:
  static nn::TransformerEncoder::Sizes sizes(const Options& options) {
    const std::int64_t width = options.integer("model.width");
    const std::int64_t feed_width = options.integer("model.feed_width");
    return {width, options.integer("model.blocks"), feed_width == 0 ? 4 * width : feed_width,
            options.flag("model.time_bias") ? kTimes : 0};
  }
  static nn::TransformerOptions block_options(const Options& options) {
    const bool masked = options.text("model.objective") == "masked";
    const std::string& mask = options.text("model.mask");
    SR_CHECK(masked || mask != "bidirectional", ErrorKind::usage,
             "--model.mask=bidirectional: each event would see the item that it is to tell; give "
             "--model.objective=masked");
    const bool causal = mask == "objective" ? !masked : mask == "causal";
    return {.mask = causal ? AttentionMask::causal : AttentionMask::bidirectional,
            .heads = options.integer("model.heads"),
            .activation = Activation::gelu,
            .dropout = static_cast<float>(options.real("model.dropout"))};
  }

  // Weights: of the last block.
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    const Var x_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    return blocks_(tape, x_ND, batch, weight_N);
  }

  std::int64_t width_;
  Objective objective_;
  bool time_bias_;
  float dropout_, same_weight_;
  Masking masking_;
  InputLayer input_;
  nn::TransformerEncoder blocks_;
  nn::LinearParameters same_ = {};
};

SR_REGISTER_MODEL("time_transformer", TimeTransformer,
                  "after Devlin et al., BERT, NAACL 2019, with times");

}  // namespace
}  // namespace seqrank
