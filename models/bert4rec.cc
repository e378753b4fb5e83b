// bert4rec: transformer blocks that look both ways, trained to tell hidden items from all others of
// a sample; to rank, a hidden item is put behind the history (Sun et al., CIKM 2019). As published
// but for the normalisation, which is before each part, and the items, which have no bias of their
// own when scored.
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/transformer.h"

namespace seqrank {
namespace {

class Bert4Rec final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.blocks", OptionKind::integer, "2", "transformer blocks", "1..64"},
        {"model.heads", OptionKind::integer, "2", "of attention; they divide the width", "1..256"},
        {"model.feed_width", OptionKind::integer, "0",
         "inside the feed-forward parts; 0: four times model.width", "0..65536"},
        {"model.mask_share", OptionKind::real, "0.2",
         "of a sample's events that are hidden in training; at least one is", "0..0.95"},
        {"model.last_share", OptionKind::real, "0.1",
         "of the samples that have only their last event hidden, as when ranking", "0..1"},
        {"model.dropout", OptionKind::real, "0.1",
         "on the input, the attention and what each part adds", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("position")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit Bert4Rec(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width"), ItemTable::MaskRow::yes),
        width_(input.options.integer("model.width")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        masking_{.share = input.options.real("model.mask_share"),
                 .last_share = input.options.real("model.last_share")},
        input_(input, width_),
        blocks_(input.parameters, sizes(input.options), block_options(input.options)) {
    ParameterStore& store = input.parameters;
    head_ = nn::declare_linear(store, "head", width_, width_);
    head_norm_ = nn::declare_layer_norm(store, "head_norm", width_);
    items_.declare_output(input.options, store);
  }

  BatchNeeds needs() const override {
    BatchNeeds needs = items_.needs(input_.needs());
    needs.objective = Objective::masked;
    needs.masking = masking_;
    return needs;
  }

  Var loss(Tape& tape, const Batch& batch) override {
    Var h_MD = nn::select_rows(tape, encode(tape, batch, nullptr), batch.target_index_M);
    return items_.loss_at(tape, head(tape, h_MD), batch.target_M, batch);
  }

 private:
  static nn::TransformerEncoder::Sizes sizes(const Options& options) {
    const std::int64_t width = options.integer("model.width");
    const std::int64_t feed_width = options.integer("model.feed_width");
    return {width, options.integer("model.blocks"), feed_width == 0 ? 4 * width : feed_width};
  }
  static nn::TransformerOptions block_options(const Options& options) {
    return {.mask = AttentionMask::bidirectional,
            .heads = options.integer("model.heads"),
            .activation = Activation::gelu,
            .dropout = static_cast<float>(options.real("model.dropout"))};
  }

  // Weights: of the last block.
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    const Var x_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    return blocks_(tape, x_ND, batch, weight_N);
  }

  Var head(Tape& tape, Var h_MD) override {
    h_MD = nn::activate(tape, Activation::gelu, nn::linear(tape, h_MD, *head_.w, head_.b));
    return nn::layer_norm(tape, h_MD, *head_norm_.gain_D, *head_norm_.bias_D);
  }

  std::int64_t width_;
  float dropout_;
  Masking masking_;
  InputLayer input_;
  nn::TransformerEncoder blocks_;
  nn::LinearParameters head_;
  nn::LayerNorm head_norm_;
};

SR_REGISTER_MODEL("bert4rec", Bert4Rec,
                  "Sun et al., BERT4Rec: Sequential Recommendation with Bidirectional Encoder "
                  "Representations from Transformer, CIKM 2019");

}  // namespace
}  // namespace seqrank
