// gru4rec: GRU layers over the events, trained on sessions side by side (Hidasi et al., ICLR 2016;
// Hidasi and Karatzoglou, CIKM 2018): each of train.batch slots reads the next events of its
// session in a step and keeps its state for the next one; no gradient goes back further. Where it
// ranks, it reads a history from its beginning. What is kept is the state before its dropout.
// Columns of events are added to items, but for their places: a slot counts from where a step
// begins, and not from where its session does.
#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"
#include "models/model.h"
#include "models/nn/input_layer.h"
#include "models/nn/item_ranker.h"
#include "models/nn/layers.h"

namespace seqrank {
namespace {

class Gru4Rec final : public ItemRanker {
 public:
  static std::vector<OptionSpec> options() {
    std::vector<OptionSpec> specs = {
        {"model.width", OptionKind::integer, "100", "width of item vectors and states", "1..8192"},
        {"model.layers", OptionKind::integer, "1", "of the GRU", "1..16"},
        {"model.unroll", OptionKind::integer, "1",
         "events that a slot reads in a step; gradients go back within them", "1..4096"},
        {"model.input_dropout", OptionKind::real, "0", "on what is read of events", "0..0.95"},
        {"model.dropout", OptionKind::real, "0", "on the states of each layer", "0..0.95"},
    };
    for (OptionSpec& spec : InputLayer::options("none")) specs.push_back(std::move(spec));
    for (OptionSpec& spec : ItemTable::options()) specs.push_back(std::move(spec));
    return specs;
  }

  explicit Gru4Rec(const ModelInput& input)
      : ItemRanker(input, input.options.integer("model.width")),
        width_(input.options.integer("model.width")),
        unroll_(input.options.integer("model.unroll")),
        input_dropout_(static_cast<float>(input.options.real("model.input_dropout"))),
        dropout_(static_cast<float>(input.options.real("model.dropout"))),
        input_(input, width_) {
    const BatchNeeds read = input_.needs();
    SR_CHECK(std::ranges::find(read.columns, "position") == read.columns.end(), ErrorKind::usage,
             "--model.input: gru4rec has no use for position: it is trained on parts of sessions, "
             "in each of which places are counted anew; leave it out");
    for (std::int64_t i = 0; i < input.options.integer("model.layers"); ++i)
      layers_.push_back(nn::declare_recurrence(input.parameters, "rnn." + std::to_string(i),
                                               Cell::gru, width_, width_));
    items_.declare_output(input.options, input.parameters);
  }

  BatchNeeds needs() const override {
    BatchNeeds needs = input_.needs();
    needs.slot_events = unroll_;
    return items_.needs(needs);
  }

  std::vector<CarriedRows> carry(Context& ctx, const SlotRange& slots) override {
    std::vector<CarriedRows> carried;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      state_.push_back(ctx.empty(DType::f32, {slots.count() + 1, width_}, Tag::activation));
      fill(ctx, state_.back(), 0);
      carried.push_back({"state/rnn." + std::to_string(i), state_.back().rows(0, slots.count())});
    }
    return carried;
  }

 private:
  Var encode(Tape& tape, const Batch& batch, Tensor*) override {
    Var h_ND = nn::dropout(tape, input_(tape, items_, batch), input_dropout_, batch);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      h_ND = nn::recurrence(tape, Cell::gru, h_ND, layers_[i], batch, kept_state(tape, i, batch));
      keep_state(tape, i, h_ND, batch);
      h_ND = nn::dropout(tape, h_ND, dropout_, batch);
    }
    return h_ND;
  }

  // A batch of whole sequences, as evaluation has them, begins with zeros.
  Tensor kept_state(Tape& tape, std::size_t layer, const Batch& batch) const {
    if (!batch.state_from_B) return {};
    SR_ASSERT(layer < state_.size(), "a batch of slots, and no room for their states");
    Tensor h0_BD = tape.ctx().empty(DType::f32, {batch.sequences, width_});
    gather_rows(tape.ctx(), h0_BD, state_[layer], batch.state_from_B);
    return h0_BD;
  }

  void keep_state(Tape& tape, std::size_t layer, const Var& h_ND, const Batch& batch) {
    if (!batch.state_from_B || batch.events == 0) return;
    Tensor state_SD = state_[layer].rows(0, batch.state_at_S.dim(0));
    gather_rows(tape.ctx(), state_SD, h_ND.value(), batch.state_at_S);
  }

  std::int64_t width_, unroll_;
  float input_dropout_, dropout_;
  InputLayer input_;
  std::vector<nn::RecurrenceParameters> layers_;
  std::vector<Tensor> state_;  // of each layer [slots of this rank + 1, D]; the last row is zero
};

SR_REGISTER_MODEL("gru4rec", Gru4Rec,
                  "Hidasi et al., Session-based Recommendations with RNNs, ICLR 2016");

}  // namespace
}  // namespace seqrank
