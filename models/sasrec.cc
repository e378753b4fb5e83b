// sasrec: causal transformer blocks over items and their places; the state after each event ranks
// the next item (Kang and McAuley, ICDM 2018), here with any loss of the item table. The
// published model with normalisation before each part.
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/transformer.h"

namespace seqrank {
namespace {

class SasRec final : public AttentiveRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "64", "width of item vectors and states", "1..8192"},
        {"model.blocks", OptionKind::integer, "2", "transformer blocks", "1..64"},
        {"model.heads", OptionKind::integer, "1", "of attention; they divide the width", "1..256"},
        {"model.feed_width", OptionKind::integer, "0",
         "inside the feed-forward parts; 0: as model.width", "0..65536"},
        {"model.activation", OptionKind::choice, "relu", "of the feed-forward parts", "relu|gelu"},
        {"model.dropout", OptionKind::real, "0.1",
         "on the input, the attention and what each part adds", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("position")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit SasRec(const ModelInput& input)
      : AttentiveRanker(input, input.options.integer("model.width")),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        input_(input, input.options.integer("model.width")),
        blocks_(input.parameters, sizes(input.options), block_options(input.options)) {
    items_.declare_output(input.options, input.parameters);
  }

  BatchNeeds needs() const override { return items_.needs(input_.needs()); }

 private:
  static nn::TransformerEncoder::Sizes sizes(const Options& options) {
    const std::int64_t width = options.integer("model.width");
    const std::int64_t feed_width = options.integer("model.feed_width");
    return {width, options.integer("model.blocks"), feed_width == 0 ? width : feed_width};
  }
  static nn::TransformerOptions block_options(const Options& options) {
    return {.heads = options.integer("model.heads"),
            .activation =
                options.text("model.activation") == "gelu" ? Activation::gelu : Activation::relu,
            .dropout = static_cast<float>(options.real("model.dropout"))};
  }

  // Weights: of the last block.
  Var encode(Tape& tape, const Batch& batch, Tensor* weight_N) override {
    const Var x_ND = nn::dropout(tape, input_(tape, items_, batch), dropout_, batch);
    return blocks_(tape, x_ND, batch, weight_N);
  }

  float dropout_;
  InputLayer input_;
  nn::TransformerEncoder blocks_;
};

SR_REGISTER_MODEL("sasrec", SasRec,
                  "Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018");

}  // namespace
}  // namespace seqrank
